import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSame } from '../../shared/plan/changes.ts'
import { DeployError } from '../../shared/errors.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import {
  transformVersion,
  transformedPath,
  type ModuleEntry,
  type ModuleGraph,
} from '../../shared/formats/modules.ts'
import { bytewise } from '../../shared/documents/bytewise.ts'
import { followEntry } from '../../shared/hot/cold.ts'
import { GraphBuilder, packagesDigest } from '../../shared/hot/graph.ts'
import { Resolver, type SourceTree } from '../../shared/hot/resolve.ts'
import { SourceProblem } from '../../shared/hot/source-problem.ts'
import { readFileSync } from 'node:fs'

/**
 * Whether the release's modules are what its graph says: what is swapped in must be the code that the same
 * release would start with. What is as in a release that was looked at before is not looked at again.
 * @param tree where the release is staged
 * @param before what runs now, if that has a graph
 * @throws DeployError E_HOT_GRAPH
 */
export async function verifyGraph(manifest: Manifest, tree: string, before: Manifest | null): Promise<void> {
  const graph = manifest.hot
  // Nobody will swap in what was made in a way that is not ours.
  if (!graph || graph.transform !== transformVersion) return
  const files = sourceTree(manifest, tree)
  const builder = new GraphBuilder(files, graph.cold)
  verifyLoading(manifest, graph, files, before)
  const known = new Set(before?.hot ? fingerprints(before, before.hot) : [])
  const mine = fingerprints(manifest, graph)
  for (const [index, entry] of graph.modules.entries()) {
    if (known.has(mine[index] ?? '')) continue
    await verifyModule(entry, builder, tree, files)
  }
  for (const boundary of graph.boundaries) {
    const stated = attempt(boundary.path, () => builder.boundary(boundary.path))
    if (!isSame(stated, boundary)) throw lie(boundary.path, 'its state, or how that is moved, is another')
  }
}

/** What is loaded by whom: the entry's own modules, the boundaries, and how names are found. */
function verifyLoading(
  { run, files }: Manifest,
  graph: ModuleGraph,
  tree: SourceTree,
  before: Manifest | null,
) {
  const resolver = new Resolver(tree)
  const paths = [...graph.modules.map(({ path }) => path), ...graph.cold]
  if (packagesDigest(resolver, paths) !== graph.packages)
    throw lie('package.json', 'it says otherwise how modules are found')
  const stated = (digestOf: (path: string) => string | undefined, { cold, boundaries }: ModuleGraph) => [
    cold.map((path) => [path, digestOf(path) ?? null]),
    boundaries.map(({ path }) => path),
  ]
  const digests = (list: Manifest['files']) => new Map(list.map(({ path, sha256 }) => [path, sha256]))
  const own = digests(files)
  const old = digests(before?.files ?? [])
  const isKnown =
    before?.hot &&
    isSame(before.run.argv, run.argv) &&
    isSame(
      stated((path) => own.get(path), graph),
      stated((path) => old.get(path), before.hot),
    )
  if (isKnown) return
  const cold = attempt(run.argv[1] ?? '', () => followEntry(run.argv, tree, resolver, new Map()))
  if (!isSame([...cold.paths].sort(bytewise), graph.cold))
    throw lie(run.argv[1] ?? '', 'it loads other modules when it starts')
  if (
    !isSame(
      cold.boundaries,
      graph.boundaries.map(({ path }) => path),
    )
  )
    throw lie(run.argv[1] ?? '', 'its boundaries are others')
}

async function verifyModule(entry: ModuleEntry, builder: GraphBuilder, tree: string, files: SourceTree) {
  const { path, kind } = entry
  // The agent has other things to do as well.
  await new Promise((resolve) => setImmediate(resolve))
  if (!files.has(path)) throw lie(path, 'it is not there')
  const made = attempt(path, () => builder.module(path))
  if (!isSame(made.entry, entry)) throw lie(path, 'it loads other modules')
  if (kind === 'json') return
  const staged = await readFile(join(tree, transformedPath(path)), 'utf8').catch(() => null)
  if (staged !== made.text) throw lie(path, 'what would be swapped in is not made of it')
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof SourceProblem) throw lie(path, error.message)
    throw error
  }
}

const lie = (path: string, why: string) => new DeployError('E_HOT_GRAPH', { path, why })

/** Manifests are kept parsed: what was `next` is soon `before`. */
const remembered = new WeakMap<Manifest, string[]>()

/** One for each module: the same fingerprint, the same module. */
function fingerprints(manifest: Manifest, graph: ModuleGraph): string[] {
  const known = remembered.get(manifest) ?? fingerprintsAnew(manifest, graph)
  remembered.set(manifest, known)
  return known
}

function fingerprintsAnew({ files }: Manifest, { modules }: ModuleGraph): string[] {
  const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  return modules.map(({ path, kind, imports, lazy, locatesItself }) =>
    [path, kind, digests.get(path), digests.get(transformedPath(path)), imports, lazy, locatesItself].join(
      '\n',
    ),
  )
}

function sourceTree({ files }: Manifest, tree: string): SourceTree {
  const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  return {
    has: (path) => digests.has(path),
    read: (path) => readFileSync(join(tree, path), 'utf8'),
    digest: (path) => digests.get(path) ?? '',
  }
}
