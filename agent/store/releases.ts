import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Blobs } from './blobs.ts'
import { replaceFile, syncPath } from '../../shared/durable.ts'
import { asStoreError } from './space.ts'
import { adaptTree, makeTree, removeTree } from './tree.ts'

export type SavedManifest = { manifest: Manifest; bytes: Buffer; signatures: string[] }

/** Parsed manifests of large releases are tens of megabytes: only the ones in use are kept. */
const parsedKept = 3
/** What was uploaded this recently may be about to be ordered. */
const recentMs = 24 * 60 * 60 * 1000
/** Names of trees that are not releases: one being made, and one made ahead of need. */
const making = '.new'
const spareTree = '.spare'

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
  #sparing: Promise<void> = Promise.resolve()

  constructor(dir: string, blobs: Blobs) {
    this.#manifests = join(dir, 'manifests')
    this.#trees = join(dir, 'releases')
    this.#blobs = blobs
    for (const path of [this.#manifests, this.#trees]) mkdirSync(path, { recursive: true, mode: 0o755 })
  }

  /** Keeps a manifest whose signature the caller has verified. */
  save(digest: string, saved: SavedManifest): void {
    const file = join(this.#manifests, `${digest}.json`)
    // An old release that comes again is a recent upload too, perhaps with other people's signatures.
    if (existsSync(file)) {
      replaceFile(`${file}.sig`, JSON.stringify(saved.signatures), 0o644)
      utimesSync(file, new Date(), new Date())
    } else {
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
    const staging = this.#stage(service, digest, manifest).finally(() => this.#staging.delete(tree))
    this.#staging.set(tree, staging)
    return staging
  }

  async #stage(service: string, digest: string, manifest: Manifest): Promise<void> {
    const tree = this.treeOf(service, digest)
    const fresh = `${tree}${making}`
    const objectFor = this.#blobs.objectFor.bind(this.#blobs)
    await this.#sparing
    await removeTree(fresh)
    try {
      const spare = this.#takeSpare(service, fresh)
      const isAdapted =
        spare &&
        (await adaptTree(fresh, spare, manifest, objectFor).then(
          () => true,
          () => false,
        ))
      if (!isAdapted) {
        await removeTree(fresh)
        await makeTree(fresh, manifest, objectFor)
      }
      renameSync(fresh, tree)
      syncPath(dirname(tree))
    } catch (cause) {
      await removeTree(fresh)
      throw asStoreError(cause, this.#trees, 'this host')
    }
  }

  /** Moves the spare tree to `fresh`; the content that it has, or null when there is none. */
  #takeSpare(service: string, fresh: string): Manifest | null {
    const dir = join(this.#trees, service)
    const name = existsSync(dir) && readdirSync(dir).find((one) => one.endsWith(spareTree))
    const saved = name ? this.find(name.slice(0, -spareTree.length)) : null
    if (!name || !saved) return null
    renameSync(join(dir, name), fresh)
    return saved.manifest
  }

  /**
   * Makes a second tree of the newest release ahead of time: the next one is most likely almost the
   * same, and its tree is then there after as many changes as it has.
   */
  makeSpare(service: string): Promise<void> {
    this.#sparing = this.#makeSpare(service).catch((error: unknown) => console.error('spare tree:', error))
    return this.#sparing
  }

  async #makeSpare(service: string): Promise<void> {
    const [newest] = this.staged(service)
    const saved = newest === undefined ? null : this.find(newest)
    if (newest === undefined || !saved || this.#staging.size > 0) return
    const dir = join(this.#trees, service)
    const spares = readdirSync(dir).filter((name) => name.endsWith(spareTree))
    if (spares.includes(newest + spareTree)) return
    for (const name of spares) await removeTree(join(dir, name))
    const fresh = join(dir, `spare${making}`)
    await removeTree(fresh)
    await makeTree(fresh, saved.manifest, this.#blobs.objectFor.bind(this.#blobs))
    renameSync(fresh, join(dir, newest + spareTree))
  }

  /** All that ever had a release here. */
  services(): string[] {
    return readdirSync(this.#trees)
  }

  /** Newest first, by when they were staged. */
  staged(service: string): string[] {
    const dir = join(this.#trees, service)
    if (!existsSync(dir)) return []
    return readdirSync(dir)
      .filter((name) => !name.includes('.'))
      .map((name) => ({ name, ms: statSync(join(dir, name)).ctimeMs }))
      .sort((a, b) => b.ms - a.ms)
      .map(({ name }) => name)
  }

  /** What all manifests name, those included that arrive while the others are read. */
  async #contents(): Promise<Set<string>> {
    const needed = new Set<string>()
    const read = new Set<string>()
    for (;;) {
      const unread = readdirSync(this.#manifests).filter((name) => name.endsWith('.json') && !read.has(name))
      if (unread.length === 0) return needed
      for (const name of unread) {
        const { files } = JSON.parse(await readFile(join(this.#manifests, name), 'utf8')) as Manifest
        for (const { sha256 } of files) needed.add(sha256)
        read.add(name)
      }
    }
  }

  /**
   * Removes the trees that are not in `keep`, and manifests and contents that neither `keep` nor a
   * recent upload needs.
   * @param keep digests by service
   */
  async prune(keep: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> {
    for (const service of readdirSync(this.#trees))
      for (const name of readdirSync(join(this.#trees, service))) {
        const [digest = ''] = name.split('.')
        if (!keep.get(service)?.has(digest) && !this.#staging.has(this.treeOf(service, digest)))
          await removeTree(join(this.#trees, service, name))
      }
    const kept = new Set([...keep.values()].flatMap((digests) => [...digests]))
    for (const name of readdirSync(this.#manifests)) {
      const file = join(this.#manifests, name)
      const [digest = ''] = name.split('.')
      if (kept.has(digest) || Date.now() - statSync(file).mtimeMs <= recentMs) continue
      rmSync(file, { force: true })
      this.#parsed.delete(digest)
    }
    const needed = await this.#contents()
    for (const sha256 of this.#blobs.all()) if (!needed.has(sha256)) this.#blobs.remove(sha256)
  }
}
