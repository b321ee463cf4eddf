import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import ssh2, { type AgentAuthMethod, type Client, type PublicKeyAuthMethod } from 'ssh2'
import { DeployError } from '../../shared/errors.ts'
import { sshAlgorithms } from '../../shared/ssh-algorithms.ts'
import { checkHostKey, type HostKeyCheck } from './host-keys.ts'
import { knownKeyTypes } from './known-hosts.ts'
import type { SshSettings } from './ssh-settings.ts'
import type { Asking, Connection, Execution } from './transport.ts'

type Config = Parameters<Client['connect']>[0]
type AuthMethod = AgentAuthMethod | PublicKeyAuthMethod

const subsystem = 'deployctl'
const connectTimeoutMs = 10_000
const readyTimeoutMs = 20_000
const keepaliveMs = 10_000
const keepaliveCount = 3

export type Ssh2Options = {
  settings: SshSettings
  check: HostKeyCheck
  asking: Asking
  /** A stream to the host's port, when it is reached through others; else TCP. */
  through?: Duplex
}

/**
 * Connects and logs in.
 * @throws DeployError E_SSH_CONNECT, E_SSH_AUTH, and those of checkHostKey
 */
export async function connectSsh2(options: Ssh2Options): Promise<Ssh2Connection> {
  const { settings, check, asking } = options
  const auth = await authMethods(settings, asking)
  const socket = options.through ?? (await connectTcp(settings))
  const client = new ssh2.Client()
  // Errors may follow the first one, and those of a connection that is cut later are seen by its channels.
  client.on('error', () => {})
  let refused: unknown
  const config: Config = {
    sock: socket,
    username: settings.user,
    algorithms: { ...sshAlgorithms, serverHostKey: preferKnown(check) } as unknown as NonNullable<
      Config['algorithms']
    >,
    authHandler: auth.methods,
    readyTimeout: readyTimeoutMs,
    keepaliveInterval: keepaliveMs,
    keepaliveCountMax: keepaliveCount,
    hostVerifier: (key: Buffer, verify: (ok: boolean) => void) => {
      checkHostKey(key, check).then(
        () => verify(true),
        (error: unknown) => {
          refused = error
          verify(false)
        },
      )
    },
  }
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve).once('error', reject)
      client.once('close', () => reject(new Error('the connection was closed during the handshake')))
      client.connect(config)
    })
  } catch (cause) {
    client.destroy()
    if (refused) throw refused
    throw connectError(settings, auth.tried, cause)
  }
  return new Ssh2Connection(client, socket, settings.host)
}

export class Ssh2Connection implements Connection {
  readonly #client: Client
  readonly #socket: Duplex
  readonly #host: string
  readonly #closing = new AbortController()

  constructor(client: Client, socket: Duplex, host: string) {
    this.#client = client
    this.#socket = socket
    this.#host = host
    client.once('close', () => this.#closing.abort())
    // The first to know of a connection that was cut while nothing was said on it.
    socket.once('close', () => this.#closing.abort())
  }

  get closed(): AbortSignal {
    return this.#closing.signal
  }

  openChannel(): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const why = (cause: Error) =>
        new DeployError('E_SSH_SUBSYSTEM', { host: this.#host, why: cause.message }, { cause })
      const lost = () => reject(why(new Error('the connection was closed')))
      // One that was closed while it was idle says so no second time, and would let us wait for ever.
      if (this.closed.aborted) return lost()
      this.#client.once('close', lost)
      this.#client.subsys(subsystem, (error, channel) => (error ? reject(why(error)) : resolve(channel)))
    })
  }

  exec(command: string): Promise<Execution> {
    return new Promise((resolve, reject) => {
      this.#client.exec(command, (error, channel) => {
        if (error)
          return reject(
            new DeployError('E_SSH_EXEC', { host: this.#host, why: error.message }, { cause: error }),
          )
        const ended = new Promise<number | null>((end) => {
          let status: number | null = null
          channel.once('exit', (code: number | null) => (status = code))
          channel.once('close', () => end(status))
        })
        resolve({ stdin: channel, stdout: channel, stderr: channel.stderr, ended })
      })
    })
  }

  /** A stream to another host's port, for a host behind this one. */
  forward(host: string, port: number): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      this.#client.forwardOut('127.0.0.1', 0, host, port, (error, stream) => {
        if (error)
          reject(
            new DeployError(
              'E_SSH_CONNECT',
              { host, why: `${this.#host}: ${error.message}` },
              { cause: error },
            ),
          )
        else resolve(stream)
      })
    })
  }

  close(): void {
    this.#client.end()
    this.#closing.abort()
  }

  bytes(): { sent: number; received: number } {
    const { bytesWritten = 0, bytesRead = 0 } = this.#socket as Partial<Socket>
    return { sent: bytesWritten, received: bytesRead }
  }
}

/** ssh2 never sets TCP_NODELAY: the socket is made here and handed over. */
async function connectTcp({ host, port }: SshSettings): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(connectTimeoutMs, () =>
        socket.destroy(new Error(`no answer within ${connectTimeoutMs / 1000} s`)),
      )
      socket.once('connect', resolve).once('error', reject)
    })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DeployError('E_SSH_CONNECT', { host: `${host}:${port}`, why }, { cause })
  }
  socket.setTimeout(0)
  return socket
}

/** The kind of key that is known comes first, so that the host shows one that can be checked. */
function preferKnown({ known, host, port }: HostKeyCheck): string[] {
  const types = new Set(knownKeyTypes(known, host, port))
  const typeOf = (algorithm: string) => (algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm)
  const all: string[] = [...sshAlgorithms.serverHostKey]
  return [...all.filter((one) => types.has(typeOf(one))), ...all.filter((one) => !types.has(typeOf(one)))]
}

/** The agent first, unless the settings say that only the files count; then each file that can be read. */
async function authMethods(settings: SshSettings, asking: Asking) {
  const { user: username, agentSocket, identityFiles, identitiesOnly } = settings
  const methods: AuthMethod[] = []
  const tried: string[] = []
  const agent = agentSocket === null ? null : { type: 'agent' as const, username, agent: agentSocket }
  if (agent && !identitiesOnly) {
    methods.push(agent)
    tried.push('ssh-agent')
  }
  for (const file of identityFiles) {
    const text = await readFile(file, 'utf8').catch(() => null)
    const method = text === null ? null : await keyMethod(file, text, username, asking, agent !== null)
    if (!method) continue
    methods.push(method)
    tried.push(file)
  }
  if (agent && identitiesOnly) {
    methods.push(agent)
    tried.push('ssh-agent')
  }
  return { methods, tried }
}

async function keyMethod(
  file: string,
  text: string,
  username: string,
  asking: Asking,
  hasAgent: boolean,
): Promise<AuthMethod | null> {
  const key = ssh2.utils.parseKey(text)
  if (!(key instanceof Error)) return { type: 'publickey', username, key: text }
  if (!/encrypted|passphrase/i.test(key.message)) return null
  // With an agent at hand nobody wants to be asked; the key is most likely in it.
  if (hasAgent || !asking.passphrase) return null
  const passphrase = await asking.passphrase(file)
  if (ssh2.utils.parseKey(text, passphrase) instanceof Error)
    throw new DeployError('E_KEY_PASSPHRASE', { path: file })
  return { type: 'publickey', username, key: text, passphrase }
}

function connectError(
  { host, port, user }: SshSettings,
  tried: readonly string[],
  cause: unknown,
): DeployError {
  const level = cause instanceof Error && 'level' in cause ? cause.level : null
  const where = port === 22 ? host : `${host}:${port}`
  if (level === 'client-authentication')
    return new DeployError('E_SSH_AUTH', { host: where, user, tried: tried.join(', ') || 'none' }, { cause })
  const why = cause instanceof Error ? cause.message : String(cause)
  return new DeployError('E_SSH_CONNECT', { host: where, why }, { cause })
}
