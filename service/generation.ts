import { dirname } from 'node:path/posix'
import { runAtOnce } from './common-js.ts'
import { HotModule } from './hot-module.ts'
import { importNatively, linkAll } from './link.ts'
import type { Namespace, NativeModules } from './native-modules.ts'

/** Runs a part of the program's new code, within limits. */
export type Run = (part: () => void) => void
type Options = {
  number: number
  release: string
  /** Where the release lies. */
  root: string
  native: NativeModules
  onLoaded: (module: HotModule) => void
  modules?: Iterable<readonly [string, HotModule]>
}

/** Between two slices of work the program answers requests. */
const sliceMs = 4

/** All modules of the program as one release has them; those that did not change are the former ones'. */
export class Generation {
  readonly number: number
  readonly release: string
  readonly root: string
  readonly modules: Map<string, HotModule>
  /** Path of the module that is just compiled, linked or evaluated. */
  at: string | null = null
  readonly #native: NativeModules
  readonly #onLoaded: (module: HotModule) => void

  constructor({ number, release, root, native, onLoaded, modules = [] }: Options) {
    this.number = number
    this.release = release
    this.root = root
    this.modules = new Map(modules)
    this.#native = native
    this.#onLoaded = onLoaded
  }

  /** Loads what is not there yet of these modules, and of all that they import. */
  load(paths: readonly string[], run: Run): Promise<void> {
    return this.evaluate(this.#collect(paths), run)
  }

  /** Modules that are still to be loaded, each after those that it imports. */
  #collect(paths: readonly string[]): HotModule[] {
    const order: HotModule[] = []
    const waiting: (string | HotModule)[] = paths.toReversed()
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      if (typeof one !== 'string') order.push(one)
      else if (!this.modules.has(one)) {
        const module = this.#open(one)
        waiting.push(module, ...importsOf(module).toReversed())
      }
    }
    return order
  }

  #open(path: string): HotModule {
    const module = new HotModule(this, path)
    this.modules.set(path, module)
    this.#onLoaded(module)
    return module
  }

  /** Reads these modules, in this order. @param digests sha256 of what is read, by path */
  open(digests: ReadonlyMap<string, string>): HotModule[] {
    return [...digests].map(([path, sha256]) => {
      const module = this.#open(path)
      if (module.sha256 === sha256) return module
      this.at = path
      throw new Error('its file is not what the release says')
    })
  }

  /** Links and evaluates. Whatever fails, it is as if these modules had never been there. */
  async evaluate(order: readonly HotModule[], run: Run): Promise<void> {
    const work = this.#evaluate(order, run)
    for (const module of order) module.evaluated = work
    try {
      await work
    } catch (error) {
      for (const { path } of order) this.modules.delete(path)
      throw error
    }
  }

  async #evaluate(order: readonly HotModule[], run: Run) {
    await this.#compile(order)
    await linkAll(order, this.modules, this.#native, (module) => (this.at = module.path))
    await this.#runAll(order, run)
  }

  async #compile(order: readonly HotModule[]) {
    let began = performance.now()
    for (const module of order) {
      this.at = module.path
      await module.compile()
      if (performance.now() - began < sliceMs) continue
      await nextTurn()
      began = performance.now()
    }
  }

  async #runAll(order: readonly HotModule[], run: Run) {
    const own = new Set(order)
    let next = 0
    /** Until the slice is over, or a module has to be waited for. */
    const runSlice = (): Promise<void> | null => {
      const began = performance.now()
      for (; next < order.length && performance.now() - began < sliceMs; next += 1) {
        const module = order[next] as HotModule
        const others = this.#underWay(module, own)
        if (others) return others
        if (module.state !== 'new') continue
        const done = this.#run(module)
        if (!done) continue
        next += 1
        return done
      }
      return null
    }
    while (next < order.length) {
      const slice: { pending: Promise<void> | null } = { pending: null }
      run(() => {
        slice.pending = runSlice()
      })
      if (slice.pending) await slice.pending
      else if (next < order.length) await nextTurn()
    }
  }

  /** What somebody else is just loading, and this module needs. */
  #underWay(module: HotModule, own: ReadonlySet<HotModule>): Promise<void> | null {
    const others = importsOf(module).flatMap((path) => {
      const one = this.modules.get(path)
      return one && !own.has(one) && one.state !== 'evaluated' ? [one.evaluated] : []
    })
    return others.length > 0 ? Promise.all(others).then(() => {}) : null
  }

  #run(module: HotModule): Promise<void> | null {
    module.state = 'evaluating'
    this.at = module.path
    const done = module.header.kind === 'esm' ? module.run() : runAtOnce(module, this.#native)
    if (done)
      return done.then(() => {
        module.state = 'evaluated'
      })
    module.state = 'evaluated'
    return null
  }

  /** As CommonJS asks: at once, and half-done where two files require each other. */
  require(path: string): unknown {
    const module = this.modules.get(path) ?? this.#open(path)
    if (module.state === 'new') void this.#run(module)
    return module.header.kind === 'esm' ? module.namespace : module.object.exports
  }

  /** What `import()` in a module stands for. */
  async importFrom(
    from: HotModule,
    specifier: unknown,
    options?: { with?: Record<string, string> },
  ): Promise<Namespace> {
    const link = from.header.lazy[String(specifier)]
    if (!link) throw new Error(`deployctl: ${from.path} imports ${String(specifier)}, which was not foreseen`)
    if (!('to' in link)) return importNatively(from, link, this.#native, options?.with)
    await this.load([link.to], (part) => part())
    const module = this.modules.get(link.to) as HotModule
    if (module.state !== 'evaluated') await module.evaluated
    return module.namespace
  }

  resolveFrom({ path, url }: HotModule, specifier: string): string {
    if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, url).href
    return this.#native.resolveFrom(dirname(path), specifier)
  }
}

const importsOf = ({ header }: HotModule): string[] =>
  header.imports.flatMap((link) => ('to' in link ? [link.to] : []))

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
