import { chmodSync, existsSync, linkSync, mkdirSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs'
import { chmod, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Blobs } from './blobs.ts'
import { syncAll } from './durable.ts'

type Content = Pick<Manifest, 'files' | 'links' | 'emptyDirs'>
type ObjectFor = Blobs['objectFor']

/** Links made before others get a turn on the event loop. */
const linksPerTurn = 500

/** Makes a release's tree at `tree`, of hard links to contents, durable and read-only. */
export async function makeTree(tree: string, content: Content, objectFor: ObjectFor): Promise<void> {
  mkdirSync(tree, { recursive: true, mode: 0o755 })
  await change(tree, differences({ files: [], links: [], emptyDirs: [] }, content), objectFor)
}

/**
 * Turns the tree of one release into that of another, and touches only what differs: of ten thousand
 * files mostly one. The tree must not be in use.
 */
export async function adaptTree(
  tree: string,
  from: Content,
  to: Content,
  objectFor: ObjectFor,
): Promise<void> {
  await change(tree, differences(from, to), objectFor)
}

/** A link has a target, a file its content. */
type Entry = { sha256: string; isExecutable: boolean; target: string | null }
type Differences = { gone: string[]; fresh: [string, Entry][]; goneDirs: string[]; freshDirs: string[] }

function differences(from: Content, to: Content): Differences {
  const [before, after] = [entriesOf(from), entriesOf(to)]
  const [dirsBefore, dirsAfter] = [dirsOf(from), dirsOf(to)]
  const isSame = (a: Entry, b: Entry | undefined) =>
    a.sha256 === b?.sha256 && a.isExecutable === b.isExecutable && a.target === b.target
  return {
    gone: [...before].filter(([path, entry]) => !isSame(entry, after.get(path))).map(([path]) => path),
    fresh: [...after].filter(([path, entry]) => !isSame(entry, before.get(path))),
    // A directory sorts before what is in it.
    goneDirs: [...dirsBefore]
      .filter((dir) => !dirsAfter.has(dir))
      .sort()
      .toReversed(),
    freshDirs: [...dirsAfter].filter((dir) => !dirsBefore.has(dir)).sort(),
  }
}

const entriesOf = ({ files, links }: Content): Map<string, Entry> =>
  new Map([
    ...files.map(({ path, sha256, mode }): [string, Entry] => [
      path,
      { sha256, isExecutable: mode === '0755', target: null },
    ]),
    ...links.map(({ path, target }): [string, Entry] => [path, { sha256: '', isExecutable: false, target }]),
  ])

/** All directories of a release, relative to it. */
function dirsOf({ files, links, emptyDirs }: Content): Set<string> {
  const dirs = new Set<string>()
  const addWithParents = (path: string) => {
    for (let dir = path; dir !== '' && !dirs.has(dir); dir = parentOf(dir)) dirs.add(dir)
  }
  for (const { path } of [...files, ...links]) addWithParents(parentOf(path))
  for (const dir of emptyDirs) addWithParents(dir)
  return dirs
}

const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')))

async function change(tree: string, { gone, fresh, goneDirs, freshDirs }: Differences, objectFor: ObjectFor) {
  const removed = new Set(goneDirs)
  const changed = [...gone, ...goneDirs, ...freshDirs, ...fresh.map(([path]) => path)].map(parentOf)
  const touched = new Set(['', ...changed, ...freshDirs].filter((dir) => !removed.has(dir)))
  const made = new Set(freshDirs)
  for (const dir of [...touched, ...goneDirs]) if (!made.has(dir)) chmodSync(join(tree, dir), 0o755)
  for (const path of gone) unlinkSync(join(tree, path))
  for (const dir of goneDirs) rmdirSync(join(tree, dir))
  for (const dir of freshDirs) mkdirSync(join(tree, dir), { mode: 0o755 })
  for (const [index, [path, entry]] of fresh.entries()) {
    if (entry.target !== null) symlinkSync(entry.target, join(tree, path))
    else linkSync(objectFor(entry.sha256, entry.isExecutable), join(tree, path))
    if (index % linksPerTurn === linksPerTurn - 1) await setImmediate()
  }
  const dirs = [...touched].map((dir) => join(tree, dir))
  for (const dir of dirs) chmodSync(dir, 0o555)
  await syncAll(dirname(tree), dirs)
}

/** A tree's directories are read-only, so they are opened first. */
export async function removeTree(tree: string): Promise<void> {
  if (!existsSync(tree)) return
  const open = async (dir: string) => {
    await chmod(dir, 0o755)
    for (const entry of await readdir(dir, { withFileTypes: true }))
      if (entry.isDirectory()) await open(join(dir, entry.name))
  }
  await open(tree)
  await rm(tree, { recursive: true, force: true })
}
