import { DeployError } from '../errors.ts'
import { manifestLimits, type Manifest } from '../formats/manifest.ts'
import { hotDirectory } from '../formats/modules.ts'
import { libraryDirectory } from '../formats/service-spec.ts'
import { bytewise } from './bytewise.ts'

/** Names that deployctl itself uses at the top of a release. */
const reserved = new Set(['.deployctl'])
/** What is there of its own: the library, for a program that is adopted. */
const libraryFile = new RegExp(`^${libraryDirectory.replaceAll('.', '[.]')}/[a-z-]+[.]mjs$`)
/** And its modules as they are swapped in. */
const hotFile = new RegExp(`^${hotDirectory.replaceAll('.', '[.]')}/.+[.][cm]?[jt]s$`)
const maxLinkHops = 40

/**
 * The rules for what a release may contain, checked on both sides before a byte is written.
 * @throws DeployError E_PATH_UNSAFE, E_RELEASE_TOO_LARGE
 */
export function checkManifestPaths(manifest: Pick<Manifest, 'files' | 'links' | 'emptyDirs'>): void {
  const { files, links, emptyDirs } = manifest
  checkSizes(files, files.length + links.length + emptyDirs.length)
  const lists = [files.map(({ path }) => path), links.map(({ path }) => path), emptyDirs]
  for (const list of lists) checkSorted(list)
  const paths = lists.flat()
  for (const path of paths) checkPath(path)
  checkCollisions(paths)
  const targets = new Map(links.map(({ path, target }) => [path, target]))
  for (const { path } of links) checkLink(path, targets)
}

function checkSizes(files: Manifest['files'], count: number) {
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  if (count > manifestLimits.files)
    throw new DeployError('E_RELEASE_TOO_LARGE', { count, what: 'entries', limit: manifestLimits.files })
  if (bytes > manifestLimits.releaseBytes)
    throw new DeployError('E_RELEASE_TOO_LARGE', {
      count: bytes,
      what: 'bytes',
      limit: manifestLimits.releaseBytes,
    })
}

const unsafe = (path: string, why: string) =>
  new DeployError('E_PATH_UNSAFE', { path: JSON.stringify(path.slice(0, 200)), why })

function checkSorted(paths: readonly string[]) {
  for (const [index, path] of paths.entries()) {
    const before = paths[index - 1]
    if (before !== undefined && bytewise(before, path) >= 0)
      throw unsafe(path, before === path ? 'it is there twice' : 'the list is not sorted')
  }
}

/** What nearly all paths are; it spares them the closer look. */
const plainPath = /^[\w@+-][\w@+.-]*(?:\/[\w@+-][\w@+.-]*)*$/
const plainLength = 128

function checkPath(path: string) {
  if (path.length <= plainLength && plainPath.test(path)) return
  const segments = path.split('/')
  if (Buffer.byteLength(path) > manifestLimits.pathBytes || segments.length > manifestLimits.depth)
    throw unsafe(path, 'it is too long or too deep')
  if (!path.isWellFormed() || /[\p{Cc}\\]/u.test(path))
    throw unsafe(path, 'control characters and backslashes are not allowed')
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..')
      throw unsafe(path, 'it must be relative, without empty, "." or ".." parts')
    if (Buffer.byteLength(segment) > manifestLimits.segmentBytes) throw unsafe(path, 'a part is too long')
  }
  if (reserved.has(segments[0] ?? '') && !libraryFile.test(path) && !hotFile.test(path))
    throw unsafe(path, 'that name is deployctl’s own')
}

/** As the least discerning file system sees a name. */
const fold = (path: string) => (/^[ -~]*$/.test(path) ? path : path.normalize('NFC')).toLowerCase()

/** Two names that one file system would take for the same, or a file where a directory must be. */
function checkCollisions(paths: readonly string[]) {
  const entries = new Map<string, string>()
  const dirs = new Map<string, string>()
  const known = new Set<string>()
  const differs = (path: string, other: string) =>
    unsafe(path, `it differs from ${JSON.stringify(other)} only in case or form`)
  for (const path of paths) {
    const folded = fold(path)
    const other = entries.get(folded)
    if (other !== undefined) throw other === path ? unsafe(path, 'it is there twice') : differs(path, other)
    entries.set(folded, path)
  }
  for (const path of paths)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const dir = path.slice(0, end)
      if (known.has(dir)) break
      known.add(dir)
      const folded = fold(dir)
      const [other, entry] = [dirs.get(folded), entries.get(folded)]
      if (other !== undefined) throw differs(path, other)
      if (entry !== undefined)
        throw entry === dir ? unsafe(path, `${JSON.stringify(dir)} is not a directory`) : differs(path, entry)
      dirs.set(folded, dir)
    }
}

/** Follows a link as the kernel would, through other links, and never above the release. */
function checkLink(path: string, targets: ReadonlyMap<string, string>) {
  const todo = path.split('/')
  const at: string[] = []
  let hops = 0
  while (todo.length > 0) {
    const segment = todo.shift()
    if (segment === '.' || segment === '' || segment === undefined) continue
    if (segment === '..') {
      if (at.pop() === undefined) throw unsafe(path, 'the link leaves the release')
      continue
    }
    const target = targets.get([...at, segment].join('/'))
    if (target === undefined) {
      at.push(segment)
      continue
    }
    if (target.startsWith('/') || /[\p{Cc}\\]/u.test(target)) throw unsafe(path, 'the link must be relative')
    if (++hops > maxLinkHops) throw unsafe(path, 'the links go round in a circle')
    todo.unshift(...target.split('/'))
  }
}
