import { randomUUID, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server as NetServer } from 'node:net'
import ssh2, { type AuthContext, type Connection } from 'ssh2'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { sshAlgorithms } from '../../shared/ssh-algorithms.ts'
import type { Acceptor } from '../api/server.ts'

type Algorithms = NonNullable<ConstructorParameters<typeof ssh2.Server>[0]['algorithms']>

const subsystem = 'deployctl'
const maxConnections = 128
const maxAttempts = 8
const handshakeMs = 20_000

export type SshServerOptions = {
  /** Made when it is not there. */
  hostKeyFile: string
  /** Read for each login: one public key a line, without options. */
  authorizedKeysFiles: readonly string[]
  /** @param fingerprint of a key that may log in by those files */
  isRevoked: (fingerprint: string) => boolean
  accept: Acceptor
}

/**
 * An SSH server for hosts without sshd: public keys only, and nothing but the subsystem. No shell, no
 * forwarding, no environment.
 */
export function makeSshServer(options: SshServerOptions): NetServer {
  const { hostKeyFile } = options
  if (!existsSync(hostKeyFile)) {
    const { privateKey, publicKey } = generateKey('deployctl embedded ssh server')
    writeFileSync(`${hostKeyFile}.pub`, `${publicKey}\n`)
    writeFileSync(hostKeyFile, privateKey, { mode: 0o600 })
  }
  const ssh = new ssh2.Server({
    hostKeys: [readFileSync(hostKeyFile)],
    algorithms: sshAlgorithms as unknown as Algorithms,
  })
  ssh.on('connection', (connection) => onConnection(connection, options))
  // ssh2 never sets TCP_NODELAY; without it each small answer waits for a round trip.
  const server = createServer({ noDelay: true }, (socket) => {
    const late = setTimeout(() => socket.destroy(), handshakeMs)
    authenticated.set(socket, () => clearTimeout(late))
    socket.once('close', () => clearTimeout(late))
    ssh.injectSocket(socket)
  })
  server.maxConnections = maxConnections
  return server
}

/** Ends the time limit of a connection's handshake; by socket, since ssh2 keeps its own objects. */
const authenticated = new WeakMap<object, () => void>()

function onConnection(connection: Connection, options: SshServerOptions) {
  const id = randomUUID()
  let attempts = 0
  let auth = ''
  connection.on('error', () => connection.end())
  connection.on('authentication', (context) => {
    attempts += 1
    if (attempts > maxAttempts) return connection.end()
    const fingerprint = authenticate(context, options)
    if (fingerprint === null) return context.reject(['publickey'])
    auth = `publickey ${fingerprint}`
    return context.accept()
  })
  connection.on('ready', () => {
    const { _sock: socket } = connection as unknown as { _sock?: object }
    if (socket) authenticated.get(socket)?.()
    connection.on('session', (acceptSession) => {
      const session = acceptSession()
      session.on('subsystem', (acceptChannel, reject, { name }) => {
        if (name !== subsystem) return reject()
        const channel = acceptChannel()
        channel.on('error', () => channel.destroy())
        options.accept(channel, { connection: id, user: subsystem, auth })
      })
    })
  })
}

/** The key's fingerprint; null when it does not log in. */
function authenticate(context: AuthContext, options: SshServerOptions): string | null {
  if (context.method !== 'publickey') return null
  const offered = context.key.data
  const { authorizedKeysFiles, isRevoked } = options
  const isAllowed = authorizedKeysFiles
    .flatMap(authorizedKeys)
    .some((blob) => blob.length === offered.length && timingSafeEqual(blob, offered))
  if (!isAllowed || isRevoked(fingerprintOf(offered))) return null
  // The first question is only whether this key may try.
  if (!context.signature || !context.blob) return fingerprintOf(offered)
  const key = ssh2.utils.parseKey(`${context.key.algo} ${offered.toString('base64')}`)
  // ssh2 returns its errors instead of throwing them: only true is true.
  const verdict: unknown =
    key instanceof Error ? false : key.verify(context.blob, context.signature, context.hashAlgo)
  return verdict === true ? fingerprintOf(offered) : null
}

function authorizedKeys(file: string): Buffer[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line) => {
    // A line with options means a restriction we do not know: it lets nobody in.
    if (!/^(ssh-|ecdsa-|sk-)/.test(line)) return []
    try {
      return [publicKeyBlob(line)]
    } catch {
      return []
    }
  })
}
