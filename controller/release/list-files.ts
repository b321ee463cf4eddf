import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import ignore, { type Ignore } from 'ignore'
import { sortBytewise } from '../../shared/documents/bytewise.ts'
import { DeployError } from '../../shared/errors.ts'

/** What identifies an unchanged file without reading it: bytes, milliseconds, inode. */
export type FileStat = { size: number; mtimeMs: number; ctimeMs: number; ino: number }
export type ListedFile = FileStat & { path: string; mode: '0644' | '0755' }
export type Listing = { files: ListedFile[]; links: { path: string; target: string }[]; emptyDirs: string[] }

/** Never part of a release unless build.exclude takes it back with `!`: history and secrets. */
export const alwaysExcluded = [
  '.git/',
  '.hg/',
  '.svn/',
  '/.deployctl/',
  '/.deployctl-version',
  '.DS_Store',
  '.env',
  '.env.*',
  '!.env.example',
  'id_rsa',
  'id_ecdsa',
  'id_ed25519',
]

const specialBits = 0o6000

/**
 * Everything under `dir` that belongs in a release, sorted bytewise. Reads no content.
 * Synchronous: ten thousand lstat calls are twice as fast without promises, and nothing else waits.
 * @throws DeployError E_BUILD_OUTPUT_MISSING, E_BUILD_FILE, E_BUILD_EMPTY
 */
export function listFiles(
  dir: string,
  include: readonly string[] = [],
  exclude: readonly string[] = [],
): Listing {
  const excluded = ignore().add([...alwaysExcluded, ...exclude])
  const included = include.length > 0 ? ignore().add([...include]) : null
  const listing: Listing = { files: [], links: [], emptyDirs: [] }
  walk(dir, '', { excluded, included, listing })
  if (listing.files.length + listing.links.length === 0) throw new DeployError('E_BUILD_EMPTY', { dir })
  sortBytewise(listing.files, ({ path }) => path)
  sortBytewise(listing.links, ({ path }) => path)
  sortBytewise(listing.emptyDirs, (path) => path)
  return listing
}

type Walk = { excluded: Ignore; included: Ignore | null; listing: Listing }

/** Returns whether anything below was taken. */
function walk(root: string, prefix: string, walking: Walk): boolean {
  const { excluded, included, listing } = walking
  let taken = false
  const entries = read(join(root, prefix))
  for (const entry of entries) {
    const path = prefix + entry.name
    if (path.includes('\ufffd')) throw new DeployError('E_BUILD_FILE', { path, why: 'its name is not UTF-8' })
    if (excluded.ignores(entry.isDirectory() ? `${path}/` : path)) continue
    if (entry.isDirectory()) taken = walk(root, `${path}/`, walking) || taken
    else if (included === null || included.ignores(path)) {
      take(root, path, listing)
      taken = true
    }
  }
  if (entries.length === 0 && prefix && (included === null || included.ignores(prefix))) {
    listing.emptyDirs.push(prefix.slice(0, -1))
    return true
  }
  return taken
}

function read(dir: string) {
  try {
    return readdirSync(dir, { withFileTypes: true })
  } catch (cause) {
    throw new DeployError('E_BUILD_OUTPUT_MISSING', { dir }, { cause })
  }
}

function take(root: string, path: string, listing: Listing) {
  const stat = lstatSync(`${root}/${path}`)
  if (stat.isSymbolicLink()) {
    listing.links.push({ path, target: readlinkSync(`${root}/${path}`) })
    return
  }
  const bad = !stat.isFile()
    ? 'it is neither a file nor a directory nor a link'
    : (stat.mode & specialBits) !== 0
      ? 'it is setuid or setgid'
      : null
  if (bad) throw new DeployError('E_BUILD_FILE', { path, why: bad })
  const { size, mtimeMs, ctimeMs, ino } = stat
  listing.files.push({ path, mode: stat.mode & 0o100 ? '0755' : '0644', size, mtimeMs, ctimeMs, ino })
}
