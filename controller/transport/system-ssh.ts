import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { DeployError } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import type { Connection } from './transport.ts'

const maxErrorChars = 4096

const options = [
  'BatchMode=yes',
  'ForwardAgent=no',
  'ClearAllForwardings=yes',
  'StrictHostKeyChecking=yes',
  'ServerAliveInterval=10',
  'ConnectTimeout=10',
  // A confirm must come over a connection of its own, so none is shared.
  'ControlPath=none',
]

/** The command line: never a shell, never a question, nothing forwarded. */
export function systemSshArgv(
  { host, port, user, identity }: HostTarget,
  knownHosts: readonly string[],
  configFile: string | null,
): string[] {
  const files = knownHosts.map((file) => (file.includes(' ') ? `"${file}"` : file)).join(' ')
  return [
    'ssh',
    ...(configFile === null ? [] : ['-F', configFile]),
    '-T',
    ...[...options, `UserKnownHostsFile=${files}`].flatMap((option) => ['-o', option]),
    ...(port === null ? [] : ['-p', String(port)]),
    ...(identity === null ? [] : ['-i', identity]),
    '-l',
    user,
    '-s',
    '--',
    host,
    'deployctl',
  ]
}

/**
 * The user's own ssh as the transport: certificates, hardware keys, post-quantum exchanges, Kerberos.
 * Each channel is a connection of its own, unless their settings share one.
 */
export class SystemSsh implements Connection {
  readonly #argv: readonly string[]
  readonly #host: string
  readonly #children = new Set<ChildProcess>()
  #sent = 0
  #received = 0

  constructor(argv: readonly string[], host: string) {
    this.#argv = argv
    this.#host = host
  }

  async openChannel(): Promise<Duplex> {
    const [command = '', ...args] = this.#argv
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#children.add(child)
    let complaint = ''
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (complaint = (complaint + text).slice(-maxErrorChars)))
    await once(child, 'spawn').catch((cause: unknown) => {
      throw new DeployError('E_SSH_CONNECT', { host: this.#host, why: 'ssh cannot be started' }, { cause })
    })
    const channel = Duplex.from({ readable: child.stdout, writable: child.stdin })
    child.stdout.on('data', (chunk: Buffer) => (this.#received += chunk.length))
    child.stdin.on('error', () => {})
    const write = child.stdin.write.bind(child.stdin) as (chunk: Buffer, ...rest: unknown[]) => boolean
    child.stdin.write = ((chunk: Buffer, ...rest: unknown[]) => {
      this.#sent += chunk.length
      return write(chunk, ...rest)
    }) as typeof child.stdin.write
    child.once('close', (code) => {
      this.#children.delete(child)
      if (code !== 0 && code !== null) channel.destroy(systemError(this.#host, complaint))
    })
    return channel
  }

  close(): void {
    for (const child of this.#children) child.kill()
  }

  bytes(): { sent: number; received: number } {
    return { sent: this.#sent, received: this.#received }
  }
}

/** ssh says what is wrong in words only; the words are OpenSSH's and have been the same for decades. */
export function systemError(host: string, complaint: string): DeployError {
  const lines = complaint.trim().split('\n')
  const why = lines.at(-1)?.trim() || 'ssh ended'
  const fingerprint = /SHA256:[A-Za-z0-9+/]+/.exec(complaint)?.[0] ?? 'see `ssh`'
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(complaint))
    return new DeployError('E_HOST_KEY_CHANGED', { host, name: host, fingerprint, known: 'another' })
  if (/Host key verification failed|No .* host key is known/.test(complaint))
    return new DeployError('E_HOST_KEY_UNKNOWN', { host, name: host, type: 'a key', fingerprint })
  if (/Permission denied/.test(complaint))
    return new DeployError('E_SSH_AUTH', { host, user: 'that user', tried: 'your ssh settings' })
  if (/subsystem request failed/.test(complaint)) return new DeployError('E_SSH_SUBSYSTEM', { host, why })
  return new DeployError('E_SSH_CONNECT', { host, why })
}
