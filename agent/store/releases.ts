import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { chmod, readFile, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Blobs } from './blobs.ts'
import { syncAll, syncPath } from './durable.ts'

export type SavedManifest = { manifest: Manifest; bytes: Buffer; signatures: string[] }

/** Parsed manifests of large releases are tens of megabytes: only the ones in use are kept. */
const parsedKept = 3
/** What was uploaded this recently may be about to be ordered. */
const recentMs = 24 * 60 * 60 * 1000
/** Links made before others get a turn on the event loop. */
const linksPerTurn = 500

/**
 * Signed manifests and the read-only trees made from them. A tree that has its final name is whole:
 * it is made under another one, flushed, and renamed.
 */
export class Releases {
  readonly #manifests: string
  readonly #trees: string
  readonly #blobs: Blobs
  readonly #parsed = new Map<string, SavedManifest>()
  readonly #staging = new Map<string, Promise<void>>()

  constructor(dir: string, blobs: Blobs) {
    this.#manifests = join(dir, 'manifests')
    this.#trees = join(dir, 'releases')
    this.#blobs = blobs
    for (const path of [this.#manifests, this.#trees]) mkdirSync(path, { recursive: true, mode: 0o755 })
  }

  /** Keeps a manifest whose signature the caller has verified. */
  save(digest: string, saved: SavedManifest): void {
    const file = join(this.#manifests, `${digest}.json`)
    if (!existsSync(file)) {
      for (const [path, content] of [
        [`${file}.sig`, JSON.stringify(saved.signatures)],
        [`${file}.new`, saved.bytes],
      ] as const) {
        writeFileSync(path, content)
        syncPath(path)
      }
      renameSync(`${file}.new`, file)
      syncPath(this.#manifests)
    }
    this.#remember(digest, saved)
  }

  #remember(digest: string, saved: SavedManifest) {
    this.#parsed.delete(digest)
    this.#parsed.set(digest, saved)
    const [oldest] = this.#parsed.keys()
    if (this.#parsed.size > parsedKept && oldest !== undefined) this.#parsed.delete(oldest)
  }

  /** Null when this host never got it, or has pruned it. */
  find(digest: string): SavedManifest | null {
    const known = this.#parsed.get(digest)
    if (known) return known
    const file = join(this.#manifests, `${digest}.json`)
    if (!existsSync(file)) return null
    const bytes = readFileSync(file)
    // Verified before it was saved, in a directory that is ours alone.
    const saved = {
      manifest: JSON.parse(bytes.toString()) as Manifest,
      bytes,
      signatures: JSON.parse(readFileSync(`${file}.sig`, 'utf8')) as string[],
    }
    this.#remember(digest, saved)
    return saved
  }

  missing({ files }: Manifest): { sha256: string; size: number }[] {
    const absent = files.filter(({ sha256 }) => !this.#blobs.has(sha256))
    return [...new Map(absent.map(({ sha256, size }) => [sha256, { sha256, size }])).values()]
  }

  treeOf(service: string, digest: string): string {
    return join(this.#trees, service, digest)
  }

  isStaged(service: string, digest: string): boolean {
    return existsSync(this.treeOf(service, digest))
  }

  /** Makes a release's tree from blobs by hard links. Doing it again changes nothing. @throws DeployError E_STORE */
  stage(service: string, digest: string, manifest: Manifest): Promise<void> {
    const tree = this.treeOf(service, digest)
    const underWay = this.#staging.get(tree)
    if (underWay || existsSync(tree)) return underWay ?? Promise.resolve()
    const staging = this.#stage(tree, manifest).finally(() => this.#staging.delete(tree))
    this.#staging.set(tree, staging)
    return staging
  }

  async #stage(tree: string, manifest: Manifest): Promise<void> {
    const fresh = `${tree}.new`
    await removeTree(fresh)
    try {
      const dirs = makeDirs(fresh, manifest)
      await this.#link(fresh, manifest)
      for (const { path, target } of manifest.links) symlinkSync(target, join(fresh, path))
      for (const dir of dirs.toReversed()) chmodSync(dir, 0o555)
      await syncAll(this.#trees, dirs)
      renameSync(fresh, tree)
      syncPath(dirname(tree))
    } catch (cause) {
      await removeTree(fresh)
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new DeployError('E_STORE', { why }, { cause })
    }
  }

  async #link(tree: string, { files }: Manifest) {
    for (const [index, { path, mode, sha256 }] of files.entries()) {
      linkSync(this.#blobs.objectFor(sha256, mode === '0755'), join(tree, path))
      if (index % linksPerTurn === linksPerTurn - 1) await setImmediate()
    }
  }

  /** Newest first, by when they were staged. */
  staged(service: string): string[] {
    const dir = join(this.#trees, service)
    if (!existsSync(dir)) return []
    return readdirSync(dir)
      .filter((name) => !name.endsWith('.new'))
      .map((name) => ({ name, ms: statSync(join(dir, name)).ctimeMs }))
      .sort((a, b) => b.ms - a.ms)
      .map(({ name }) => name)
  }

  /**
   * Removes the trees that are not in `keep`, and manifests and contents that neither `keep` nor a
   * recent upload needs.
   * @param keep digests by service
   */
  async prune(keep: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> {
    for (const service of readdirSync(this.#trees))
      for (const name of readdirSync(join(this.#trees, service)))
        if (!keep.get(service)?.has(name.replace(/\.new$/, '')))
          await removeTree(join(this.#trees, service, name))
    const kept = new Set([...keep.values()].flatMap((digests) => [...digests]))
    const needed = new Set<string>()
    for (const name of readdirSync(this.#manifests)) {
      const file = join(this.#manifests, name)
      const [digest = ''] = name.split('.')
      if (!kept.has(digest) && Date.now() - statSync(file).mtimeMs > recentMs) {
        rmSync(file, { force: true })
        this.#parsed.delete(digest)
      } else if (name.endsWith('.json')) {
        const { files } = JSON.parse(await readFile(file, 'utf8')) as Manifest
        for (const { sha256 } of files) needed.add(sha256)
      }
    }
    for (const sha256 of this.#blobs.all()) if (!needed.has(sha256)) this.#blobs.remove(sha256)
  }
}

/** All directories of a release, parents first, writable until they are filled. */
function makeDirs(tree: string, { files, links, emptyDirs }: Manifest): string[] {
  const relative = new Set<string>(emptyDirs)
  for (const { path } of [...files, ...links])
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const dir = path.slice(0, at)
      if (relative.has(dir)) break
      relative.add(dir)
    }
  for (const dir of emptyDirs)
    for (let at = dir.lastIndexOf('/'); at > 0; at = dir.lastIndexOf('/', at - 1))
      relative.add(dir.slice(0, at))
  mkdirSync(tree, { recursive: true, mode: 0o755 })
  const dirs = [...relative].sort().map((dir) => join(tree, dir))
  for (const dir of dirs) mkdirSync(dir, { mode: 0o755 })
  return [tree, ...dirs]
}

/** A tree's directories are read-only, so they are opened first. */
async function removeTree(tree: string): Promise<void> {
  if (!existsSync(tree)) return
  const open = async (dir: string) => {
    await chmod(dir, 0o755)
    for (const entry of await readdir(dir, { withFileTypes: true }))
      if (entry.isDirectory()) await open(join(dir, entry.name))
  }
  await open(tree)
  await rm(tree, { recursive: true, force: true })
}
