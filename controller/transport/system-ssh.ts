import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { DeployError } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import type { Connection, Execution } from './transport.ts'

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

/** Command lines: one for a channel to the agent, and one to which a program's own is added. */
export type SystemArgv = { channel: readonly string[]; command: readonly string[] }

/** The command lines: never a shell, never a question, nothing forwarded. */
export function systemSshArgv(
  { host, port, user, identity }: HostTarget,
  knownHosts: readonly string[],
  configFile: string | null,
): SystemArgv {
  const files = knownHosts.map((file) => (file.includes(' ') ? `"${file}"` : file)).join(' ')
  const base = [
    'ssh',
    ...(configFile === null ? [] : ['-F', configFile]),
    '-T',
    ...[...options, `UserKnownHostsFile=${files}`].flatMap((option) => ['-o', option]),
    ...(port === null ? [] : ['-p', String(port)]),
    ...(identity === null ? [] : ['-i', identity]),
    ...(user === '' ? [] : ['-l', user]),
  ]
  return { channel: [...base, '-s', '--', host, 'deployctl'], command: [...base, '--', host] }
}

/**
 * The user's own ssh as the transport: certificates, hardware keys, post-quantum exchanges, Kerberos.
 * Each channel is a connection of its own.
 */
export class SystemSsh implements Connection {
  readonly #argv: SystemArgv
  readonly #host: string
  readonly #channels = new Set<ProcessChannel>()
  readonly #closing = new AbortController()
  readonly #bytes = { sent: 0, received: 0 }

  constructor(argv: SystemArgv, host: string) {
    this.#argv = argv
    this.#host = host
  }

  async openChannel(): Promise<Duplex> {
    const [command = '', ...args] = this.#argv.channel
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    await once(child, 'spawn').catch((cause: unknown) => {
      throw new DeployError('E_SSH_CONNECT', { host: this.#host, why: 'ssh cannot be started' }, { cause })
    })
    const channel = new ProcessChannel(child, this.#host, this.#bytes)
    this.#channels.add(channel)
    channel.once('close', () => this.#channels.delete(channel))
    return channel
  }

  async exec(remote: string): Promise<Execution> {
    const [command = '', ...args] = this.#argv.command
    const child = spawn(command, [...args, remote], { stdio: ['pipe', 'pipe', 'pipe'] })
    child.stdin.on('error', () => {})
    const ended = new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(null))
      child.once('close', resolve)
    })
    return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended }
  }

  get closed(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    this.#closing.abort()
    for (const channel of this.#channels) channel.destroy()
  }

  bytes(): { sent: number; received: number } {
    return { ...this.#bytes }
  }
}

/** A process's standard input and output as one stream; how it ended is the stream's error. */
class ProcessChannel extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #bytes: { sent: number; received: number }
  #complaint = ''

  constructor(
    child: ChildProcessWithoutNullStreams,
    host: string,
    bytes: { sent: number; received: number },
  ) {
    super({ autoDestroy: true })
    this.#child = child
    this.#bytes = bytes
    // Whoever uses the stream hears of it; an error after that is nobody's.
    this.on('error', () => {})
    child.stdin.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-maxErrorChars)
    })
    child.stdout.on('data', (chunk: Buffer) => {
      bytes.received += chunk.length
      if (!this.push(chunk)) child.stdout.pause()
    })
    child.once('close', (code) => {
      if (code === 0) this.push(null)
      else this.destroy(systemError(host, this.#complaint))
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#bytes.sent += chunk.length
    // A process that ended says why by its close; writing to it is no error of its own.
    if (this.#child.stdin.destroyed) return done()
    if (this.#child.stdin.write(chunk)) return done()
    const go = () => {
      this.#child.stdin.off('drain', go).off('close', go)
      done()
    }
    this.#child.stdin.once('drain', go).once('close', go)
  }

  override _final(done: () => void): void {
    this.#child.stdin.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill()
    done(error)
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
