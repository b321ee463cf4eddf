import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { DeployError } from '../../shared/errors.ts'
import { shellWord } from '../../shared/shell-word.ts'
import type { HostTarget } from '../config/target.ts'
import type { Finished } from '../process.ts'
import { connectHost, type ConnectOptions } from '../transport/connect.ts'
import type { Connection } from '../transport/transport.ts'

export type SudoOptions = {
  /** Asks a person; absent where there is nobody. */
  askPassword?: ((host: string) => Promise<string>) | undefined
  password?: string | undefined
}

type RunOptions = {
  input?: string | Buffer
  /** Called with each chunk of output as it comes. */
  onOutput?: (chunk: string) => void
  /** Called with how much of the input is on its way. */
  onSent?: (bytes: number) => void
}

const chunkBytes = 256 * 1024

/** Programs as root on a host, over one connection of an administrator. Never used by a push. */
export class AdminShell implements Disposable {
  readonly #connection: Connection
  readonly #prefix: readonly string[]
  readonly #password: string | null

  private constructor(connection: Connection, prefix: readonly string[], password: string | null) {
    this.#connection = connection
    this.#prefix = prefix
    this.#password = password
  }

  /**
   * Logs in and finds out how to become root: not at all, by sudo without a password, or with one.
   * @throws DeployError E_SUDO, E_SSH_EXEC, and those of connectHost
   */
  static async open(target: HostTarget, options: ConnectOptions, sudo: SudoOptions): Promise<AdminShell> {
    const connection = await connectHost(target, options)
    try {
      const plain = new AdminShell(connection, [], null)
      const { status, stdout, stderr } = await plain.run(['id', '-u'])
      if (status !== 0) throw new DeployError('E_SSH_EXEC', { host: target.name, why: lastLine(stderr) })
      if (stdout.trim() === '0') return plain
      const free = new AdminShell(connection, ['sudo', '-n', '--'], null)
      if ((await free.run(['true'])).status === 0) return free
      return await AdminShell.#withPassword(connection, target, sudo)
    } catch (error) {
      connection.close()
      throw error
    }
  }

  static async #withPassword(
    connection: Connection,
    { name, user }: HostTarget,
    { password, askPassword }: SudoOptions,
  ): Promise<AdminShell> {
    const refuse = (why: string) => new DeployError('E_SUDO', { host: name, user: user || 'that user', why })
    const given = password ?? (await askPassword?.(name))
    if (!given) throw refuse('sudo asks for a password')
    // Asked for each time, so that the password is never taken for a program's input.
    const shell = new AdminShell(connection, ['sudo', '-S', '-k', '-p', '', '--'], given)
    const { status, stderr } = await shell.run(['true'])
    if (status !== 0) throw refuse(lastLine(stderr) || 'sudo refused')
    return shell
  }

  async run(argv: readonly string[], { input = '', onOutput, onSent }: RunOptions = {}): Promise<Finished> {
    const command = [...this.#prefix, ...argv].map(shellWord).join(' ')
    const { stdin, stdout, stderr, ended } = await this.#connection.exec(command)
    const password = this.#password === null ? '' : `${this.#password}\n`
    // A program that ends without reading all of it says so by its status.
    const sending = pipeline(Readable.from(chunks(password, input, onSent)), stdin).catch(() => {})
    if (onOutput) stdout.setEncoding('utf8').on('data', onOutput)
    const [out, complaints, status] = await Promise.all([text(stdout), text(stderr), ended])
    await sending
    return { status, stdout: out, stderr: complaints }
  }

  [Symbol.dispose](): void {
    this.#connection.close()
  }
}

function* chunks(password: string, input: string | Buffer, onSent?: (bytes: number) => void) {
  if (password) yield Buffer.from(password)
  const bytes = Buffer.from(input)
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    yield bytes.subarray(at, at + chunkBytes)
    onSent?.(Math.min(at + chunkBytes, bytes.length))
  }
}

const lastLine = (output: string) => output.trim().split('\n').at(-1) ?? ''
