import { existsSync, readdirSync } from 'node:fs'
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

/** Removes published releases that nobody needs. @returns how many */
export async function clearShelf(dataDir: string, needed: ReadonlySet<string>): Promise<number> {
  const dir = shelf(dataDir)
  const old = existsSync(dir) ? readdirSync(dir).filter((name) => !needed.has(name)) : []
  for (const name of old) await rm(join(dir, name), { recursive: true, force: true })
  return old.length
}
