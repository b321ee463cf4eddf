import { AsyncLocalStorage } from 'node:async_hooks'
import type { Namespace } from './native-modules.ts'
import type { ResourceOptions, Resources } from './resources.ts'

/** What the code of a boundary is given besides its state. */
export type HotContext = {
  /** What outlives a release: made by the first who asks, the same for all who come later. */
  resource<T>(name: string, create: () => T, options?: ResourceOptions<T>): T
}
/** What a boundary module may export for us; everything else is for the program. */
export type BoundaryModule = Namespace & {
  version?: number
  init?: (context: HotContext) => unknown
  codeChange?: (state: unknown, from: number, context: HotContext) => unknown
  codeChangeDown?: (state: unknown, to: number, context: HotContext) => unknown
  dispose?: (state: unknown, context: HotContext) => unknown
  /** Exported functions to call again and again, by their name: milliseconds in between. */
  jobs?: Record<string, number>
}
/** The code and the state that belong together. */
export type Held = { module: BoundaryModule; state: unknown; version: number }
export type Use = (module: never, state: never, context: HotContext) => unknown

/** Set within a call: what it calls in turn must not wait for itself. */
const within = new AsyncLocalStorage<true>()

/** What a handle leads to: the code of now, its state, the calls under way. */
export class Boundary {
  readonly path: string
  readonly context: HotContext
  held: Held
  #calls = 0
  #gate: { open: () => void; opened: Promise<void> } | null = null
  #onIdle: (() => void) | null = null
  /** Whether calls may lead into other boundaries, and so have to be told apart. */
  readonly #isOneOfMany: boolean
  readonly #jobs = new Map<string, { everyMs: number; timer: NodeJS.Timeout }>()

  constructor(path: string, held: Held, resources: Resources, isOneOfMany: boolean) {
    this.path = path
    this.held = held
    this.#isOneOfMany = isOneOfMany
    this.context = contextOf(path, resources)
    this.keepJobs()
  }

  call(use: Use): unknown {
    const gate = this.#gate
    if (gate && !(this.#isOneOfMany && within.getStore())) return gate.opened.then(() => this.call(use))
    const { module, state } = this.held
    const run = () => use(module as never, state as never, this.context)
    const result = this.#isOneOfMany ? within.run(true, run) : run()
    if (!isThenable(result)) return result
    this.#calls += 1
    const done = () => {
      this.#calls -= 1
      if (this.#calls === 0) this.#onIdle?.()
    }
    result.then(done, done)
    return result
  }

  /** Lets nobody in from now on, until `open`. */
  close(): void {
    let open = () => {}
    const opened = new Promise<void>((resolve) => (open = resolve))
    this.#gate = { open, opened }
  }

  open(): void {
    this.#gate?.open()
    this.#gate = null
  }

  /** Returns when the calls under way have ended. @throws Error when that takes too long */
  async drained(timeoutMs: number): Promise<void> {
    if (this.#calls === 0) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const say = () =>
        reject(new Error(`${this.#calls} calls of ${this.path} have not ended within ${timeoutMs / 1000} s`))
      timer = setTimeout(say, timeoutMs)
    })
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve))
    try {
      await Promise.race([idle, late])
    } finally {
      this.#onIdle = null
      clearTimeout(timer)
    }
  }

  /** Runs what the code of now wants to have run; what it wants as before goes on undisturbed. */
  keepJobs(): void {
    const wanted = Object.entries(this.held.module.jobs ?? {})
    for (const [name, { everyMs, timer }] of this.#jobs)
      if (!wanted.some(([other, ms]) => other === name && ms === everyMs)) {
        clearInterval(timer)
        this.#jobs.delete(name)
      }
    for (const [name, everyMs] of wanted)
      if (!this.#jobs.has(name))
        this.#jobs.set(name, { everyMs, timer: setInterval(() => this.#runJob(name), everyMs) })
  }

  #runJob(name: string) {
    const job = (module: Namespace, state: unknown, context: HotContext) => {
      const run = module[name]
      return typeof run === 'function' ? (run as Use)(state as never, context as never, context) : undefined
    }
    const fail = (error: unknown) =>
      console.error(`deployctl: the job ${name} of ${this.path} failed:`, error)
    try {
      const result = this.call(job)
      if (isThenable(result)) result.then(undefined, fail)
    } catch (error) {
      fail(error)
    }
  }
}

export const contextOf = (path: string, resources: Resources): HotContext => ({
  resource: (name, create, options) => resources.get(`${path}\n${name}`, create, options),
})

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
