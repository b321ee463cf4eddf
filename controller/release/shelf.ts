import { existsSync, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

const shelf = (dataDir: string) => join(dataDir, 'releases')

/** Where a published release lies. @param release its digest */
export const publishedRelease = (dataDir: string, release: string): string => join(shelf(dataDir), release)

/** Where a release is kept for hosts that were away. */
export const keptRelease = (dataDir: string, release: string): string => join(dataDir, 'catch-up', release)

/** The release on this machine, wherever it is; null when it is not. */
export const findRelease = (dataDir: string, release: string): string | null =>
  [publishedRelease(dataDir, release), keptRelease(dataDir, release)].find((dir) => existsSync(dir)) ?? null

/**
 * Removes published releases that nobody needs. One that came later than `beforeMs` stays: it may be on its way
 * to being published.
 * @returns how many
 */
export async function clearShelf(
  dataDir: string,
  needed: ReadonlySet<string>,
  beforeMs: number,
): Promise<number> {
  const dir = shelf(dataDir)
  const all = existsSync(dir) ? readdirSync(dir) : []
  const old = all.filter((name) => !needed.has(name) && statSync(join(dir, name)).mtimeMs < beforeMs)
  for (const name of old) await rm(join(dir, name), { recursive: true, force: true })
  return old.length
}
