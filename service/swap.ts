import { getHeapStatistics } from 'node:v8'
import type { Boundary, Held } from './boundary.ts'
import { faultOf, type Fault } from './fault.ts'
import { collectGarbage } from './garbage.ts'
import { Generation } from './generation.ts'
import type { Guard } from './guard.ts'
import { migrateAll, versionOf } from './migrate.ts'
import type { NativeModules } from './native-modules.ts'
import { Pins } from './pins.ts'
import type { Resources } from './resources.ts'

/** What the agent may ask of a program that can exchange its code: deployctl's shared/wire/control.ts. */
export type SwapRequest =
  | { do: 'prepare'; release: string; root: string; evaluate: [string, string][]; forget: string[] }
  | { do: 'commit' | 'confirm' | 'rollback'; release: string }
  | { do: 'abort' }
  | { do: 'modules' }
  | { do: 'collect' }

export type SwapAnswer =
  | { ok: true; [more: string]: unknown }
  | { ok: false; fault: Fault; [more: string]: unknown }

type Prepared = { generation: Generation; dropped: ReadonlySet<string> }
type Committed = {
  before: Generation
  held: Map<Boundary, Held>
  /** Boundaries whose state has another version now. */
  migrated: Boundary[]
}

export type SwapParts = {
  native: NativeModules
  guard: Guard
  resources: Resources
  boundaries: ReadonlyMap<string, Boundary>
  first: Generation
  pins: Pins
  drainMs: number
}

/** The code of a running program, from one release to the next: prepare, commit, then confirm or roll back. */
export class Swap {
  readonly #parts: SwapParts
  #current: Generation
  #prepared: Prepared | null = null
  #committed: Committed | null = null
  #turn: Promise<unknown> = Promise.resolve()
  /** Which module is worked on. */
  #at: () => string | null = () => null

  constructor(parts: SwapParts) {
    this.#parts = parts
    this.#current = parts.first
  }

  readonly #onBoundary = ({ path }: Boundary) => {
    this.#at = () => path
  }

  status() {
    const { boundaries, pins } = this.#parts
    const former = pins.besides([
      ...this.#current.modules.values(),
      ...(this.#committed?.before.modules.values() ?? []),
    ])
    return {
      release: this.#current.release,
      generation: this.#current.number,
      modules: this.#current.modules.size,
      unconfirmed: this.#committed !== null,
      boundaries: [...boundaries.values()].map(({ path, held }) => ({ path, version: held.version })),
      /** Directories of which files are in use: something there may ask where it lies, or load more. */
      roots: [
        ...new Set([this.#parts.native.root, ...[...this.#current.modules.values()].map(({ root }) => root)]),
      ],
      heap: heap(),
      pinned: [...former].map(([release, paths]) => ({
        release,
        modules: paths.length,
        paths: paths.slice(0, 5),
      })),
    }
  }

  /** One after the other: an agent that was started again may ask while the one before still waits. */
  answer(request: SwapRequest): Promise<SwapAnswer> {
    const answered = this.#turn.then(() => this.#answer(request))
    this.#turn = answered
    return answered
  }

  async #answer(request: SwapRequest): Promise<SwapAnswer> {
    const { root } = this.#prepared?.generation ?? this.#current
    this.#at = () => null
    try {
      switch (request.do) {
        case 'prepare':
          return { ok: true, ...(await this.#prepare(request)) }
        case 'commit':
          return { ok: true, ...(await this.#commit(request.release)) }
        case 'confirm':
          return { ok: true, problems: await this.#confirm(request.release) }
        case 'rollback':
          return { ok: true, ...(await this.#rollBack(request.release)) }
        case 'abort':
          this.#prepared = null
          return { ok: true }
        case 'collect':
          await collectGarbage()
          return { ok: true }
        case 'modules': {
          const modules = [...this.#current.modules.values()]
          return { ok: true, modules: modules.map(({ path, sha256 }) => [path, sha256]) }
        }
      }
    } catch (error) {
      return { ok: false, fault: faultOf(error, 'root' in request ? request.root : root, this.#at()) }
    }
  }

  /** Everything of the new code that can fail without the old code noticing. */
  async #prepare({ release, root, evaluate, forget }: Extract<SwapRequest, { do: 'prepare' }>) {
    if (this.#committed) throw new Error('the swap before is not confirmed yet')
    const began = performance.now()
    const { native, guard, pins } = this.#parts
    const dropped = new Set([...evaluate.map(([path]) => path), ...forget])
    const kept = [...this.#current.modules].filter(([path]) => !dropped.has(path))
    const identity = { number: this.#current.number + 1, release, root }
    const onLoaded = pins.add.bind(pins)
    const generation = new Generation({ ...identity, native, onLoaded, modules: kept })
    this.#prepared = null
    this.#at = () => generation.at
    await guard.step(root, (run) => generation.evaluate(generation.open(new Map(evaluate)), run))
    this.#prepared = { generation, dropped }
    return { evaluated: evaluate.length, ms: performance.now() - began }
  }

  /** The new code takes over; should its state not come along, nothing has happened. */
  async #commit(release: string) {
    if (this.#current.release === release) return { ms: 0 }
    const prepared = this.#prepared
    if (prepared?.generation.release !== release) throw new Error('that release was not prepared')
    this.#prepared = null
    const began = performance.now()
    const { generation } = prepared
    // What the old code has loaded in the meantime, and what is the same in both.
    for (const [path, module] of this.#current.modules)
      if (!prepared.dropped.has(path) && !generation.modules.has(path)) generation.modules.set(path, module)
    const changed = this.#changed(generation)
    const migrating = changed.filter(({ boundary, module }) => versionOf(module) !== boundary.held.version)
    const { resources, guard } = this.#parts
    const before = this.#current
    const held = new Map(changed.map(({ boundary }) => [boundary, boundary.held]))
    resources.begin()
    try {
      await this.#withGates(migrating, async () => {
        const states =
          migrating.length === 0
            ? new Map<Boundary, unknown>()
            : await guard.step(generation.root, (run) => migrateAll(migrating, run, this.#onBoundary))
        // All at once, and nothing here can fail.
        for (const { boundary, module } of changed) {
          const state = states.has(boundary) ? states.get(boundary) : boundary.held.state
          boundary.held = { module, state, version: versionOf(module) }
        }
        this.#switchTo(generation)
      })
    } catch (error) {
      await resources.restore()
      throw error
    }
    this.#committed = { before, held, migrated: migrating.map(({ boundary }) => boundary) }
    for (const boundary of held.keys()) boundary.keepJobs()
    return { ms: performance.now() - began }
  }

  #changed(generation: Generation) {
    return [...this.#parts.boundaries.values()].flatMap((boundary) => {
      const fresh = generation.modules.get(boundary.path)
      const isSame = fresh === this.#current.modules.get(boundary.path)
      return fresh && !isSame ? [{ boundary, module: fresh.namespace }] : []
    })
  }

  /** Nobody calls these meanwhile, and those who did have ended. */
  async #withGates(migrating: readonly { boundary: Boundary }[], work: () => Promise<void>) {
    for (const { boundary } of migrating) boundary.close()
    try {
      for (const { boundary } of migrating) await boundary.drained(this.#parts.drainMs)
      await work()
    } finally {
      for (const { boundary } of migrating) boundary.open()
    }
  }

  #switchTo(generation: Generation) {
    for (const module of generation.modules.values()) module.generation = generation
    this.#current = generation
    process.chdir(generation.root)
  }

  /** There is no way back from here; what the old code leaves behind is put away. */
  async #confirm(release: string): Promise<Fault[]> {
    if (this.#current.release !== release) throw new Error('another release runs')
    const committed = this.#committed
    this.#committed = null
    if (!committed) return []
    const { guard, resources } = this.#parts
    const faults: Fault[] = []
    const { root } = committed.before
    const tryTo = async (path: string | null, work: () => unknown) => {
      try {
        await guard.step(root, async (run) => {
          let result: unknown
          run(() => (result = work()))
          await result
        })
      } catch (error) {
        faults.push(faultOf(error, root, path))
      }
    }
    for (const [boundary, { module, state }] of committed.held)
      if (module.dispose) await tryTo(boundary.path, () => module.dispose?.(state, boundary.context))
    await tryTo(null, () => resources.settle())
    return faults
  }

  /** The code before comes back, with the state as it is now where that can be. */
  async #rollBack(release: string) {
    this.#prepared = null
    if (this.#current.release !== release) return { state: 'untouched' }
    const committed = this.#committed
    if (!committed) throw new Error('it is confirmed already')
    const migrated = committed.migrated.map((boundary) => ({
      boundary,
      module: boundary.held.module,
      version: committed.held.get(boundary)?.version ?? 1,
    }))
    const isLossless = migrated.every(({ module }) => module.codeChangeDown)
    await this.#withGates(migrated, async () => {
      const states = isLossless
        ? await this.#parts.guard.step(this.#current.root, (run) =>
            migrateAll(migrated, run, this.#onBoundary),
          )
        : new Map<Boundary, unknown>()
      for (const [boundary, before] of committed.held) {
        // Without a way down it is the state of the moment of the swap, which nobody has touched since.
        const kept = committed.migrated.includes(boundary) ? before.state : boundary.held.state
        boundary.held = { ...before, state: states.has(boundary) ? states.get(boundary) : kept }
      }
      this.#switchTo(committed.before)
    })
    this.#committed = null
    for (const boundary of committed.held.keys()) boundary.keepJobs()
    await this.#parts.resources.restore()
    return { state: isLossless ? 'kept' : 'as before the swap' }
  }
}

function heap() {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  return { used, limit }
}
