import { encodeDocument, sha256Hex } from '../documents/document.ts'
import { bytewise } from '../documents/bytewise.ts'
import { transformVersion, type Boundary, type ModuleEntry, type ModuleGraph } from '../formats/modules.ts'
import { followEntry, type KnownCold } from './cold.ts'
import { derive } from './derive.ts'
import type { Facts } from './facts.ts'
import { Resolver, type Asking, type SourceTree } from './resolve.ts'
import { SourceProblem } from './source-problem.ts'

/** What is known of texts that were read before: of modules by their kind and sha256. */
export type Known = { facts: Map<string, Facts>; cold: KnownCold }

/** `files`: the transformed modules, by the path of their source. */
export type HotModules = { graph: ModuleGraph; files: Map<string, string> }

/** How the library finds what a module asks for: a module of the graph, one of the entry's, or by its name. */
export type Link = { to: string } | { cold: string } | { native: string }

/** The first line of a transformed file. */
export type ModuleHeader = Pick<Facts, 'kind' | 'isAsync' | 'reexports' | 'stars'> & {
  imports: (Link & { from: string; names: string[]; with?: Record<string, string> })[]
  lazy: Record<string, Link>
}

/**
 * What of a program can be swapped, from the command line that starts it. Null when it does not call
 * `createHot`.
 * @throws SourceProblem
 */
export function hotModulesOf(argv: readonly string[], tree: SourceTree, known: Known): HotModules | null {
  const resolver = new Resolver(tree)
  const cold = followEntry(argv, tree, resolver, known.cold)
  if (cold.boundaries === null || cold.boundaries.length === 0) return null
  const builder = new GraphBuilder(tree, cold.paths, { resolver, known: known.facts })
  const found = modulesFrom(cold.boundaries, builder)
  const modules = [...found.values()].sort((a, b) => bytewise(a.entry.path, b.entry.path))
  checkRequired(modules, found)
  const paths = modules.map(({ entry }) => entry.path)
  return {
    graph: {
      transform: transformVersion,
      boundaries: cold.boundaries.map((path) => builder.boundary(path)),
      modules: modules.map(({ entry }) => entry),
      cold: [...cold.paths].sort(bytewise),
      packages: packagesDigest(resolver, [...paths, ...cold.paths]),
    },
    files: new Map(modules.flatMap(({ entry, text }) => (text === null ? [] : [[entry.path, text]]))),
  }
}

/** @param paths the modules of a program, cold and hot */
export const packagesDigest = (resolver: Resolver, paths: Iterable<string>): string =>
  sha256Hex(encodeDocument(resolver.packagesOf(paths)))

/** The boundaries and all that they lead to. */
function modulesFrom(boundaries: readonly string[], builder: GraphBuilder): Map<string, BuiltModule> {
  const found = new Map<string, BuiltModule>()
  const waiting = [...boundaries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.has(path)) continue
    const module = builder.module(path)
    found.set(path, module)
    waiting.push(...module.entry.imports, ...module.entry.lazy)
  }
  return found
}

/** A module that is awaited cannot be had at once. */
function checkRequired(modules: readonly BuiltModule[], found: ReadonlyMap<string, BuiltModule>) {
  for (const { entry, facts } of modules) {
    if (entry.kind !== 'cjs') continue
    const module = entry.lazy.find((to) => found.get(to)?.entry.kind === 'esm')
    const { line = 1 } = facts.lazy.find(({ from }) => module?.endsWith(from.replace(/^[./]+/, ''))) ?? {}
    if (module !== undefined) throw new SourceProblem(entry.path, line, `it requires ${module}, an ES module`)
  }
}

/** `text`: what the library loads; null for JSON, which it reads as it is. */
export type BuiltModule = { entry: ModuleEntry; text: string | null; facts: Facts }

/** Makes modules ready to be swapped in, one by one. */
export class GraphBuilder {
  readonly #tree: SourceTree
  readonly #resolver: Resolver
  readonly #cold: ReadonlySet<string>
  readonly #known: Map<string, Facts>

  /** @param cold what the program's entry loads by itself */
  constructor(
    tree: SourceTree,
    cold: Iterable<string>,
    {
      resolver = new Resolver(tree),
      known = new Map(),
    }: { resolver?: Resolver; known?: Map<string, Facts> } = {},
  ) {
    this.#tree = tree
    this.#resolver = resolver
    this.#cold = new Set(cold)
    this.#known = known
  }

  #factsOf(path: string): Facts {
    if (!this.#tree.has(path)) throw new SourceProblem(path, 1, 'it is not in the release', true)
    const kind = this.#resolver.kindOf(path)
    const key = `${kind ?? 'any'} ${/\.[cm]?ts$/.test(path) ? 'ts ' : ''}${this.#tree.digest(path)}`
    const facts = this.#known.get(key) ?? derive(path, this.#tree.read(path), kind)
    this.#known.set(key, facts)
    return facts
  }

  /** @throws SourceProblem */
  module(path: string): BuiltModule {
    const facts = this.#factsOf(path)
    const { kind, isAsync, reexports, stars, locatesItself } = facts
    const how = kind === 'cjs' ? 'require' : 'import'
    const imports = facts.imports.map(({ from, names, attributes, line }) => {
      const target = this.#link(from, { path, line, how })
      if ('to' in target && target.to.endsWith('.json') && attributes['type'] !== 'json')
        throw new SourceProblem(path, line, `${target.to} is imported without { type: 'json' }`, true)
      return { from, names, ...target, ...(Object.keys(attributes).length > 0 && { with: attributes }) }
    })
    const lazy = facts.lazy.map(({ from, line }) => [from, this.#link(from, { path, line, how })] as const)
    const header: ModuleHeader = { kind, isAsync, imports, reexports, stars, lazy: Object.fromEntries(lazy) }
    const entry = {
      path,
      kind,
      imports: ownOf(imports),
      lazy: ownOf(lazy.map(([, link]) => link)),
      locatesItself,
    }
    return { entry, facts, text: kind === 'json' ? null : `//${JSON.stringify(header)}\n${facts.code}` }
  }

  #link(from: string, asking: Asking): Link {
    const target = this.#resolver.resolve(from, asking)
    if ('native' in target) return target
    const isOwn = /\.(?:[cm]?[jt]s|json)$/.test(target.to) && !target.to.includes('node_modules/')
    // What the entry has loaded must not be there twice; what is no module of ours, Node knows how to load.
    return this.#cold.has(target.to) || !isOwn ? { cold: target.to } : target
  }

  /** @throws SourceProblem for one that cannot be understood without running it */
  boundary(path: string): Boundary {
    const facts = this.#factsOf(path)
    if (facts.kind !== 'esm') throw new SourceProblem(path, 1, 'a boundary that is no ES module')
    const has = (name: string) => this.#hasExport(path, name, new Set())
    if (facts.version === null && has('version'))
      throw new SourceProblem(
        path,
        1,
        'write `export const version = …` with its number into the boundary itself',
      )
    return {
      path,
      version: facts.version ?? 1,
      codeChange: has('codeChange'),
      codeChangeDown: has('codeChangeDown'),
    }
  }

  #hasExport(path: string, name: string, seen: Set<string>): boolean {
    if (seen.has(path)) return false
    seen.add(path)
    const facts = this.#factsOf(path)
    if (facts.exports.includes(name) || facts.reexports.some(({ as }) => as === name)) return true
    return facts.stars.some((of) => {
      const { from = '', line = 1 } = facts.imports[of] ?? {}
      const link = this.#link(from, { path, line, how: 'import' })
      return 'to' in link && this.#hasExport(link.to, name, seen)
    })
  }
}

const ownOf = (links: readonly Link[]): string[] => [
  ...new Set(links.flatMap((link) => ('to' in link ? [link.to] : []))),
]
