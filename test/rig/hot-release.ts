import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { sha256Hex } from '../../shared/documents/document.ts'
import { transformedPath, type ModuleGraph } from '../../shared/formats/modules.ts'
import { hotModulesOf, type Known } from '../../shared/hot/graph.ts'
import type { SourceTree } from '../../shared/hot/resolve.ts'

export type Files = Record<string, string>

export const treeOf = (files: Files): SourceTree => ({
  has: (path) => Object.hasOwn(files, path),
  read: (path) => files[path] ?? '',
  digest: (path) => sha256Hex(files[path] ?? ''),
})

const known: Known = { facts: new Map(), cold: new Map() }

export type HotRelease = { root: string; graph: ModuleGraph; digests: Map<string, string> }

/** A release on disk as the host stages it: the project's files, and its modules as they are swapped in. */
export function writeRelease(
  parent: string,
  name: string,
  files: Files,
  argv = ['node', 'main.js'],
): HotRelease {
  const root = join(parent, name)
  const made = hotModulesOf(argv, treeOf(files), known)
  if (!made) throw new Error('it does not call createHot')
  const own = [...made.files].map(([path, code]) => [transformedPath(path), code] as const)
  for (const [path, text] of [...Object.entries(files), ...own]) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const sha = ({ path, kind }: ModuleGraph['modules'][number]) =>
    sha256Hex(readFileSync(join(root, kind === 'json' ? path : transformedPath(path))))
  return { root, graph: made.graph, digests: new Map(made.graph.modules.map((one) => [one.path, sha(one)])) }
}

export function temporary(t: { teardown: (end: () => void) => unknown }): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'hot-')))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
