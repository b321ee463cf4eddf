import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { compileEsm, type HotObject, type Steps } from './compile.ts'
import { readModule, type Header } from './module-file.ts'
import type { Namespace } from './native-modules.ts'

export type Getter = () => unknown
/** Where an export really comes from: two ways to the same one are no contradiction. */
export type Binding = { owner: object; name: string; get: Getter }
type FirstStep = [Record<string, Getter>, (namespaces: readonly Namespace[]) => void]

/** What a CommonJS file sees as `module`. */
export type ModuleObject = { exports: unknown; loaded: boolean } & Record<string, unknown>

/** All that a module sees of the others. */
export type Surroundings = {
  readonly release: string
  readonly root: string
  require(path: string): unknown
  importFrom: (
    from: HotModule,
    specifier: unknown,
    options?: { with?: Record<string, string> },
  ) => Promise<Namespace>
  resolveFrom: (from: HotModule, specifier: string) => string
}

/** One module of one release, from its file to its exports. */
export class HotModule {
  readonly path: string
  readonly root: string
  readonly header: Header
  readonly sha256: string
  /** The newest generation that it is part of; what it imports later, it finds there. */
  generation: Surroundings
  state: 'new' | 'evaluating' | 'evaluated' = 'new'
  /** Settled when it is evaluated. */
  evaluated: Promise<void> = Promise.resolve()
  namespace: Namespace = {}
  /** Namespaces of what it imports, in the order of its header. */
  readonly imported: Namespace[] = []
  /** `module` of a CommonJS file. */
  readonly object: ModuleObject
  #code: string | null
  #steps: Steps | null = null
  #own: Record<string, Getter> = {}
  #link: FirstStep[1] = () => {}
  readonly #hot: HotObject

  constructor(generation: Surroundings, path: string) {
    const { header, code, sha256 } = readModule(generation.root, path)
    this.path = path
    this.root = generation.root
    this.generation = generation
    this.header = header
    this.sha256 = sha256
    this.#code = code
    this.object = { exports: {}, loaded: false, id: this.file, filename: this.file, children: [], paths: [] }
    this.#hot = {
      import: (specifier, options) => this.generation.importFrom(this, specifier, options),
      meta: this.#meta(),
    }
    // Known before it runs, since what is in it is asked for later.
    if (header.kind !== 'esm')
      Object.defineProperty(this.namespace, 'default', { get: () => this.object.exports, enumerable: true })
  }

  /** Lives as long as anything of its code does: all that the text declares can see it. */
  get pin(): object {
    return this.header.kind === 'esm' ? this.#hot : this.object
  }

  get file(): string {
    return join(this.root, this.path)
  }

  get url(): string {
    return pathToFileURL(this.file).href
  }

  #meta(): HotObject['meta'] {
    const { file, url } = this
    const resolve = (specifier: string) => this.generation.resolveFrom(this, specifier)
    return Object.assign(Object.create(null) as HotObject['meta'], {
      dirname: dirname(file),
      filename: file,
      main: false,
      resolve,
      url,
    })
  }

  takeCode(): string {
    const code = this.#code ?? ''
    this.#code = null
    return code
  }

  /** Compiled, and its functions there; nothing of it has run. */
  compile(): void | Promise<void> {
    const { kind, isAsync } = this.header
    if (kind !== 'esm') return
    this.#steps = compileEsm(this.takeCode(), this.url)(this.#hot)
    const first = this.#steps.next()
    if (isAsync)
      return (first as Promise<IteratorResult<unknown>>).then(({ value }) => this.#take(value as FirstStep))
    this.#take((first as IteratorResult<unknown>).value as FirstStep)
  }

  #take([own, link]: FirstStep) {
    this.#own = own
    this.#link = link
  }

  /** Own exports by a getter each. */
  get own(): Readonly<Record<string, Getter>> {
    return this.#own
  }

  link(): void {
    this.#link(this.imported)
  }

  /** The last step of an ES module: its text runs. */
  run(): void | Promise<void> {
    const steps = this.#steps
    this.#steps = null
    const done = steps?.next()
    if (done instanceof Promise) return done.then(() => {})
  }

  /** That module gives them all; a namespace is read through far faster with a prototype until it is made. */
  expose(bindings: ReadonlyMap<string, Getter>): void {
    const space = {}
    for (const name of [...bindings.keys()].sort())
      Object.defineProperty(space, name, { get: bindings.get(name) as Getter, enumerable: true })
    Object.defineProperty(space, Symbol.toStringTag, { value: 'Module' })
    Object.setPrototypeOf(space, null)
    this.namespace = Object.preventExtensions(space) as Namespace
  }
}
