import type { Listing } from './list-files.ts'
import { listInThread } from './list-thread.ts'
import { hashFiles } from './hash-files.ts'
import { StatCache } from './stat-cache.ts'

export type ScanRequest = {
  root: string
  include: readonly string[]
  exclude: readonly string[]
  cacheDir: string
}
export type Scanned = Omit<Listing, 'files'> & { files: (Listing['files'][number] & { sha256: string })[] }

/**
 * What belongs in a release, with the digest of each file.
 * @throws DeployError those of listFiles and hashFiles
 */
export async function scan({ root, include, exclude, cacheDir }: ScanRequest): Promise<Scanned> {
  const takenMs = Date.now()
  const [cache, listing] = await Promise.all([
    StatCache.open(cacheDir, root),
    listInThread(root, include, exclude),
  ])
  const known = listing.files.map((file) => cache.digestOf(file))
  const unread = listing.files.filter((_, index) => known[index] === null)
  const fresh = await hashFiles(root, unread)
  let next = 0
  const files = listing.files.map((file, index) => ({
    ...file,
    sha256: known[index] ?? fresh[next++] ?? '',
  }))
  await cache.save(files, takenMs)
  return { ...listing, files }
}
