import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Script, constants } from 'node:vm'

export type Namespace = Readonly<Record<string, unknown>>
export type Attributes = Record<string, string>
type NativeImport = (specifier: string, attributes?: Attributes) => Promise<Namespace>

/**
 * What Node's own loader loads: dependencies, built-in modules, and what the program itself loaded at its
 * start. Always looked for from the release that the process was started with, so that each is there once.
 */
export class NativeModules {
  readonly root: string
  readonly #imports = new Map<string, NativeImport>()
  readonly #loaded = new Map<string, Namespace>()

  constructor(root: string) {
    this.root = root
  }

  /** Where a module of the program lies, or lay, in the release of the start. */
  fileOf(path: string): string {
    return join(this.root, path)
  }

  urlOf(path: string): string {
    return pathToFileURL(this.fileOf(path)).href
  }

  /** @param dir of the module that asks, within the release */
  import(dir: string, specifier: string, attributes?: Attributes): Promise<Namespace> | Namespace {
    const key = `${dir}\n${specifier}\n${JSON.stringify(attributes ?? null)}`
    const known = this.#loaded.get(key)
    if (known) return known
    return quietly(() => this.#importFrom(dir)(specifier, attributes)).then((namespace) => {
      this.#loaded.set(key, namespace)
      return namespace
    })
  }

  requireFrom(dir: string): NodeJS.Require {
    return createRequire(join(this.root, dir, 'deployctl-anchor.cjs'))
  }

  resolveFrom(dir: string, specifier: string): string {
    const found = this.requireFrom(dir).resolve(specifier)
    return found.startsWith('/') ? pathToFileURL(found).href : `node:${found.replace(/^node:/, '')}`
  }

  /** An `import()` that takes place in a file of that directory, which need not exist. */
  #importFrom(dir: string): NativeImport {
    const known = this.#imports.get(dir)
    if (known) return known
    const fresh = new Script(
      '(specifier, attributes) => import(specifier, attributes && { with: attributes })',
      {
        filename: join(this.root, dir, 'deployctl-anchor.mjs'),
        importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      },
    ).runInThisContext() as NativeImport
    this.#imports.set(dir, fresh)
    return fresh
  }
}

/** Node says with the first import of that kind that it may change; it has been there since version 20. */
function quietly<T>(work: () => T): T {
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  try {
    return work()
  } finally {
    process.emitWarning = emitWarning
  }
}
