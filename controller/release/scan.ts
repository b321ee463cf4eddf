import type { Listing } from './list-files.ts'
import { hashFiles } from './hash-files.ts'
import { ListThread } from './list-thread.ts'
import { StatCache } from './stat-cache.ts'

export type ScanRequest = {
  root: string
  include: readonly string[]
  exclude: readonly string[]
}
export type Scanned = Omit<Listing, 'files'> & { files: (Listing['files'][number] & { sha256: string })[] }

/** Says what belongs in a release, with the digest of each file; again and again, each time what is new. */
export class Scanner {
  readonly #thread = new ListThread()
  readonly #cacheDir: string
  readonly #caches = new Map<string, StatCache>()
  #saving: Promise<void> = Promise.resolve()

  constructor(cacheDir: string) {
    this.#cacheDir = cacheDir
  }

  /** @throws DeployError those of listFiles and hashFiles */
  async scan({ root, include, exclude }: ScanRequest): Promise<Scanned> {
    const takenMs = Date.now()
    const [cache, listing] = await Promise.all([
      this.#caches.get(root) ?? StatCache.open(this.#cacheDir, root),
      this.#thread.list(root, include, exclude),
    ])
    const known = listing.files.map((file) => cache.digestOf(file))
    const unread = listing.files.filter((_, index) => known[index] === null)
    const fresh = await hashFiles(root, unread)
    let next = 0
    const files = listing.files.map((file, index) => ({
      ...file,
      sha256: known[index] ?? fresh[next++] ?? '',
    }))
    const isSame = unread.length === 0 && files.length === cache.size
    const taken = isSame ? cache : cache.after(files, takenMs)
    this.#caches.set(root, taken)
    // Nobody waits for it but the end: a cache that was not written only costs time.
    if (taken !== cache) this.#saving = this.#saving.then(() => taken.save()).catch(() => {})
    return { ...listing, files }
  }

  async close(): Promise<void> {
    await Promise.all([this.#saving, this.#thread.close()])
  }
}
