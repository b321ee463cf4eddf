import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { exports as resolveExports, imports as resolveImports } from 'resolve.exports'
import { parseObject } from '../documents/parse-object.ts'
import type { ModuleKind } from '../formats/modules.ts'
import { SourceProblem } from './source-problem.ts'

/** The files of a release, as far as one needs them to tell what loads what. */
export type SourceTree = {
  has(path: string): boolean
  read(path: string): string
  /** sha256 of its content. */
  digest(path: string): string
}

/** `to`: a file of the release; `native`: what Node's own loader finds by that name. */
export type Target = { to: string } | { native: string }

export type Asking = { path: string; line: number; how: 'import' | 'require' }

type Package = { dir: string; json: Record<string, unknown> }

/** What of a package.json says how modules are found and read. */
const loadingFields = ['name', 'type', 'main', 'imports', 'exports'] as const

/** Finds modules as Node does: ECMAScript by its exact path, CommonJS with endings left out. */
export class Resolver {
  readonly #tree: SourceTree
  readonly #packages = new Map<string, Package | null>()

  constructor(tree: SourceTree) {
    this.#tree = tree
  }

  /** What the package.json files of these modules say of loading modules. */
  packagesOf(paths: Iterable<string>): Record<string, Record<string, unknown>> {
    const found = [...paths].map((path) => this.#packageOf(path)).filter((one) => one !== null)
    const fields = (json: Package['json']) =>
      Object.fromEntries(loadingFields.map((field) => [field, json[field]]))
    return Object.fromEntries(found.map(({ dir, json }) => [dir, fields(json)]))
  }

  #packageOf(path: string): Package | null {
    const dir = posix.dirname(path)
    const known = this.#packages.get(dir)
    if (known !== undefined) return known
    const file = posix.join(dir, 'package.json')
    const found = this.#tree.has(file)
      ? { dir, json: parseObject(this.#tree.read(file)) }
      : dir === '.'
        ? null
        : this.#packageOf(dir)
    this.#packages.set(dir, found)
    return found
  }

  /** Null where the text itself must tell: `.js` in a package that does not say. */
  kindOf(path: string): ModuleKind | null {
    const [, extension = ''] = /\.([cm]?[jt]s|json)$/.exec(path) ?? []
    if (extension === 'json') return 'json'
    if (extension.startsWith('m')) return 'esm'
    if (extension.startsWith('c')) return 'cjs'
    const type = this.#packageOf(path)?.json['type']
    return type === 'module' ? 'esm' : type === 'commonjs' ? 'cjs' : null
  }

  /** @throws SourceProblem */
  resolve(specifier: string, asking: Asking): Target {
    const fail = (why: string, isFatal = false) =>
      new SourceProblem(asking.path, asking.line, `${JSON.stringify(specifier)}: ${why}`, isFatal)
    if (/^\.{0,2}\//.test(specifier) || specifier === '.' || specifier === '..')
      return { to: this.#file(specifier, asking, fail) }
    if (/^(?:node|data):/.test(specifier) || isBuiltin(specifier)) return { native: specifier }
    if (/^[a-z]+:/.test(specifier)) throw fail('a module by its address')
    const mapped = this.#mapped(specifier, asking, fail)
    if (mapped === null) return { native: specifier }
    return mapped.startsWith('./')
      ? { to: this.#existing(posix.join(this.#packageOf(asking.path)?.dir ?? '', mapped), fail) }
      : { native: mapped }
  }

  /** By `imports` for `#name`, by `exports` for the package's own name. */
  #mapped(specifier: string, { path, how }: Asking, fail: Fail): string | null {
    const own = this.#packageOf(path)?.json
    const isOwn =
      own?.['exports'] !== undefined &&
      (specifier === own['name'] || specifier.startsWith(`${String(own['name'])}/`))
    if (!specifier.startsWith('#') && !isOwn) return null
    const find = specifier.startsWith('#') ? resolveImports : resolveExports
    try {
      const [found] = find(own ?? {}, specifier, { require: how === 'require' }) ?? []
      if (found !== undefined) return found
    } catch {
      // Said below.
    }
    throw fail('package.json does not say what that is', true)
  }

  #file(specifier: string, asking: Asking, fail: Fail): string {
    const { path, how } = asking
    if (/[?#]/.test(specifier) && how === 'import') throw fail('the same module under several addresses')
    if (specifier.startsWith('/')) throw fail('a path of this machine')
    const wish = posix.join(posix.dirname(path), how === 'import' ? decode(specifier, fail) : specifier)
    if (wish.startsWith('../') || wish === '..') throw fail('it leads out of the release')
    return how === 'import' ? this.#existing(wish, fail) : this.#guessed(wish, fail)
  }

  #existing(path: string, fail: Fail): string {
    if (this.#tree.has(path)) return path
    throw fail('there is no such file in the release', true)
  }

  /** The algorithm LOAD_AS_FILE, LOAD_AS_DIRECTORY of Node's documentation of modules. */
  #guessed(wish: string, fail: Fail): string {
    const endings = ['', '.js', '.json', '.node']
    const asFile = (path: string) => endings.map((ending) => path + ending).find((one) => this.#tree.has(one))
    const manifest = posix.join(wish, 'package.json')
    const main = this.#tree.has(manifest) ? parseObject(this.#tree.read(manifest))['main'] : undefined
    const inside = typeof main === 'string' ? posix.join(wish, main) : null
    const found =
      asFile(wish) ??
      (inside === null ? undefined : (asFile(inside) ?? asFile(posix.join(inside, 'index')))) ??
      asFile(posix.join(wish, 'index'))
    if (found !== undefined) return found
    throw fail('there is no such file in the release', true)
  }
}

type Fail = (why: string, isFatal?: boolean) => SourceProblem

function decode(specifier: string, fail: Fail): string {
  try {
    return decodeURIComponent(specifier)
  } catch {
    throw fail('it is no address', true)
  }
}
