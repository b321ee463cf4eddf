import { AsyncLocalStorage } from 'node:async_hooks'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'
import { Watchdog } from './watchdog.ts'

export type Limits = {
  /** How long the program may stand still at once, in milliseconds. */
  standstillMs: number
  /** How long a step may take in all, in milliseconds. */
  stepMs: number
  /** By how much the process may grow during a step, in bytes. */
  growBytes: number
}

const megabyte = 1024 * 1024
export const defaultLimits: Limits = { standstillMs: 2_000, stepMs: 10_000, growBytes: 256 * megabyte }
const growthPollMs = 20

type Step = { isOver: boolean; fail: (error: Error) => void }

const key = Symbol.for('deployctl-guarded')
const shared = globalThis as { [key]?: (() => void) | undefined }

/**
 * Lets a release's code run in a process that must survive it: whatever it does while it is loaded or
 * moves its state (throw, never end, take all memory, exit), it fails, and the code before goes on.
 */
export class Guard {
  readonly #limits: Limits
  readonly #watchdog = new Watchdog()
  readonly #steps = new AsyncLocalStorage<Step>()
  readonly #script = new Script(`globalThis[Symbol.for('deployctl-guarded')]()`, {
    filename: 'deployctl-guard',
  })

  constructor(limits: Limits) {
    this.#limits = limits
    const exit = process.exit.bind(process)
    process.exit = (code) => {
      const step = this.#steps.getStore()
      if (!step || step.isOver) return exit(code)
      const error = new Error(`it called process.exit(${code ?? ''})`)
      step.fail(error)
      throw error
    }
  }

  /** Whether the next SIGINT is the watchdog's, and not for the service. */
  takeInterrupt(): boolean {
    const isOwn = this.#watchdog.isExpectingInterrupt
    this.#watchdog.isExpectingInterrupt = false
    return isOwn
  }

  /** @param root of the release whose code it is: errors that nobody catches are its own by their stack */
  async step<T>(root: string, work: (run: (part: () => void) => void) => Promise<T>): Promise<T> {
    const { stepMs, growBytes } = this.#limits
    await this.#watchdog.start(growBytes)
    let fail: Step['fail'] = () => {}
    const failed = new Promise<never>((_, reject) => (fail = reject))
    const step: Step = { isOver: false, fail }
    const before = process.memoryUsage.rss()
    const timer = setTimeout(
      () => fail(new Error(`it did not come to an end within ${stepMs / 1000} s`)),
      stepMs,
    )
    const growth = setInterval(() => {
      if (process.memoryUsage.rss() - before > growBytes) fail(tooMuch(growBytes))
    }, growthPollMs)
    const onFault = (error: unknown) => this.#onFault(error, root, step)
    process.on('uncaughtException', onFault).on('unhandledRejection', onFault)
    try {
      return await Promise.race([this.#steps.run(step, () => work((part) => this.#run(part))), failed])
    } finally {
      step.isOver = true
      clearTimeout(timer)
      clearInterval(growth)
      process.off('uncaughtException', onFault).off('unhandledRejection', onFault)
    }
  }

  #run(part: () => void) {
    const { standstillMs, growBytes } = this.#limits
    let thrown: { error: unknown } | null = null
    shared[key] = () => {
      try {
        part()
      } catch (error) {
        thrown = { error }
      }
    }
    this.#watchdog.arm()
    // A loop that V8 has optimised while it runs, and that calls built-in functions only, hears no interrupt.
    setFlagsFromString('--no-use-osr')
    try {
      this.#script.runInThisContext({ timeout: standstillMs, breakOnSigint: true })
    } catch (error) {
      if (this.#watchdog.disarm()) throw tooMuch(growBytes)
      const isLate = (error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
      throw isLate ? new Error(`it stood still for ${standstillMs / 1000} s`) : error
    } finally {
      setFlagsFromString('--use-osr')
      shared[key] = undefined
      // Fired in the last moment: the signal comes when nobody waits for it any more.
      if (this.#watchdog.disarm()) this.#watchdog.isExpectingInterrupt = true
    }
    const caught = thrown as { error: unknown } | null
    if (caught) throw caught.error
  }

  /** Of an error that nobody caught, while new code is tried. */
  #onFault(error: unknown, root: string, step: Step) {
    const stack = error instanceof Error ? (error.stack ?? '') : ''
    if (stack.includes(root)) return step.fail(error as Error)
    const others = [...process.listeners('uncaughtException'), ...process.listeners('unhandledRejection')]
    // The program's own: what would have happened without us.
    if (others.length > 2) return
    console.error(error)
    process.exit(1)
  }
}

const tooMuch = (bytes: number) => new Error(`it took more than ${bytes / megabyte} MB of memory`)
