import type { Manifest } from '../formats/manifest.ts'
import { hotDirectory, transformVersion, type ModuleEntry, type ModuleGraph } from '../formats/modules.ts'
import { libraryDirectory } from '../formats/service-spec.ts'
import { controlSocket } from '../formats/sockets.ts'
import { changedPaths, isSame, shortList } from './changes.ts'

/** `migrates`: its state gets another version. */
export type BoundarySwap = { path: string; from: number; to: number; migrates: boolean }

/** What a running program has to do to become the next release. */
export type SwapPlan = {
  /** Modules to evaluate anew, each after those that it imports. */
  evaluate: string[]
  /** Modules that are loaded anew when somebody asks for them the next time. */
  forget: string[]
  boundaries: BoundarySwap[]
}

/** Why code cannot be exchanged in the running program; in words for people. */
export type Obstacle = { obstacle: string }

/** What becomes of the change of one file. */
type Effect = { dirty: string } | { located: true } | { none: true } | Obstacle

const lockfiles =
  /(?:^|\/)(?:package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|yarn\.lock|\.package-lock\.json)$/
/** What nobody reads at run time. */
const papers = /^(?:README|LICEN[CS]E|CHANGELOG|CONTRIBUTING)(?:\.[a-z]+)?$|\.d\.[cm]?ts$|\.map$/i

/** What to do to exchange one release's code for the next in a running program, or why that cannot be. */
export function planSwap(previous: Manifest, next: Manifest): SwapPlan | Obstacle {
  const [before, after] = [previous.hot, next.hot]
  if (!after || !before)
    return { obstacle: 'code in the running program can be exchanged from the next release on' }
  const obstacle =
    obstacleInSettings(previous, next) ?? obstacleInGraphs(before, after) ?? obstacleInState(before, after)
  if (obstacle !== null) return { obstacle }
  const seeds = new Set<string>()
  for (const path of changedPaths(previous, next)) {
    const effect = effectOf(path, before, after, next.activation.static ?? [])
    if ('obstacle' in effect) return effect
    if ('dirty' in effect) seeds.add(effect.dirty)
    if ('located' in effect) for (const one of after.modules) if (one.locatesItself) seeds.add(one.path)
  }
  const known = new Map(before.modules.map((one) => [one.path, wordsOf(one)]))
  for (const one of after.modules) if (known.get(one.path) !== wordsOf(one)) seeds.add(one.path)
  return swapOf(before, after, withImporters(after.modules, seeds))
}

/** The same words, the same place in the graph. */
const wordsOf = ({ kind, imports, lazy, locatesItself }: ModuleEntry) =>
  [kind, locatesItself, imports.join('\n'), lazy.join('\n')].join('\n\n')

function swapOf(before: ModuleGraph, after: ModuleGraph, dirty: ReadonlySet<string>): SwapPlan {
  const order = evaluationOrder(after)
  const early = new Set(order)
  const versions = new Map(before.boundaries.map(({ path, version }) => [path, version]))
  return {
    evaluate: order.filter((path) => dirty.has(path)),
    forget: [...dirty].filter((path) => !early.has(path)),
    boundaries: after.boundaries
      .filter(({ path }) => dirty.has(path))
      .map(({ path, version }) => {
        const from = versions.get(path) ?? version
        return { path, from, to: version, migrates: from !== version }
      }),
  }
}

/** The changed ones and all that import them, directly or not: nobody keeps a part of the old code. */
function withImporters(modules: readonly ModuleEntry[], seeds: ReadonlySet<string>): Set<string> {
  const importers = new Map<string, string[]>()
  for (const { path, imports, lazy } of modules)
    for (const to of [...imports, ...lazy]) importers.set(to, [...(importers.get(to) ?? []), path])
  const own = new Set(modules.map(({ path }) => path))
  const dirty = new Set<string>()
  const waiting = [...seeds].filter((path) => own.has(path))
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (dirty.has(path)) continue
    dirty.add(path)
    waiting.push(...(importers.get(path) ?? []))
  }
  return dirty
}

/** What the boundaries import, as Node would evaluate it: InnerModuleEvaluation of ECMA-262. */
export function evaluationOrder({
  boundaries,
  modules,
}: Pick<ModuleGraph, 'boundaries' | 'modules'>): string[] {
  const byPath = new Map(modules.map((one) => [one.path, one]))
  const order: string[] = []
  const seen = new Set<string>()
  // Without recursion: a chain of imports may be longer than the stack is deep.
  const waiting = boundaries.map(({ path }) => ({ path, isEntered: false })).toReversed()
  for (let one = waiting.pop(); one; one = waiting.pop()) {
    if (one.isEntered) {
      order.push(one.path)
      continue
    }
    if (seen.has(one.path)) continue
    seen.add(one.path)
    waiting.push({ path: one.path, isEntered: true })
    const imports = byPath.get(one.path)?.imports ?? []
    waiting.push(...imports.map((path) => ({ path, isEntered: false })).toReversed())
  }
  return order
}

function effectOf(path: string, before: ModuleGraph, after: ModuleGraph, statics: readonly string[]): Effect {
  const isModule = (name: string) =>
    [after, before].some(({ modules }) => modules.some((one) => one.path === name))
  const source = path.startsWith(`${hotDirectory}/`) ? path.slice(hotDirectory.length + 1) : path
  if (isModule(source)) return { dirty: source }
  if ([before, after].some(({ cold }) => cold.includes(path)))
    return { obstacle: `${path} is loaded at the start of the program, and changed` }
  if (lockfiles.test(path)) return { none: true }
  if (path.startsWith(`${libraryDirectory}/`)) return { obstacle: "deployctl's library changed" }
  const dependency = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
  if (dependency !== undefined) return { obstacle: `the dependency ${dependency} changed` }
  // What it says of loading modules is compared with the graphs.
  if (/(?:^|\/)package\.json$/.test(path) || papers.test(path)) return { none: true }
  if (statics.some((one) => path === one || (one.endsWith('/') && path.startsWith(one))))
    return { located: true }
  // Sources of what was compiled: a program that runs JavaScript does not read them.
  const runsTypeScript = [...after.cold, ...after.modules.map((one) => one.path)].some((one) =>
    /\.[cm]?ts$/.test(one),
  )
  if (/\.[cm]?tsx?$/.test(path) && !runsTypeScript) return { none: true }
  return {
    obstacle: `${path} changed, and who reads it is not known (activation.static names files that are read anew, build.exclude those that are not needed)`,
  }
}

function obstacleInSettings(previous: Manifest, next: Manifest): string | null {
  if (!(next.run.sockets ?? []).some(({ name }) => name === controlSocket))
    return `it has no private socket "${controlSocket}", over which the agent would tell it`
  const [before, after] = [previous.run, next.run]
  const changed = (
    [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof typeof after)[]
  ).filter((key) => !isSame(before[key] ?? null, after[key] ?? null))
  return changed.length > 0
    ? `the way it is run changed (${changed.map((key) => `run.${key}`).join(', ')})`
    : null
}

function obstacleInGraphs(before: ModuleGraph, after: ModuleGraph): string | null {
  if (after.transform !== transformVersion || before.transform !== transformVersion)
    return 'its modules were prepared by another version of deployctl'
  if (before.packages !== after.packages) return 'package.json says otherwise how modules are found'
  const paths = (graph: ModuleGraph) => graph.boundaries.map(({ path }) => path)
  if (!isSame(paths(before), paths(after))) return 'its boundaries are others'
  return null
}

/** A state without a way from the one version to the other would be lost. */
function obstacleInState(before: ModuleGraph, after: ModuleGraph): string | null {
  for (const { path, version, codeChange } of after.boundaries) {
    const old = before.boundaries.find((one) => one.path === path)
    if (!old || old.version === version) continue
    const isUp = version > old.version
    if (isUp ? codeChange : old.codeChangeDown) continue
    const missing = isUp ? `no codeChange in ${path}` : `no codeChangeDown in the ${path} that runs`
    return `the state of ${path} goes from version ${old.version} to ${version}, and there is ${missing}`
  }
  return null
}

/** In words for people, a line each. */
export function describeSwap({ evaluate, forget, boundaries }: SwapPlan): string[] {
  const count = evaluate.length + forget.length
  const what = count === 1 ? '1 module is' : `${count} modules are`
  const lines =
    count === 0
      ? ['no code changes: only what is read anew']
      : [`${what} evaluated anew in the running program: ${shortList(evaluate.toReversed().concat(forget))}`]
  for (const { path, from, to, migrates } of boundaries)
    lines.push(
      migrates
        ? `${path} waits for its calls, and its state goes from version ${from} to ${to}`
        : `${path} is exchanged and keeps its state`,
    )
  lines.push('until that moment the old code is untouched; afterwards it comes back if anything fails')
  return lines
}
