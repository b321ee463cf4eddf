import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { syncPath } from '../../shared/durable.ts'

/** Left free for the journal, logs and everybody else. */
const reserveBytes = 32 * 1024 * 1024
const ballastBytes = 8 * 1024 * 1024

/**
 * Refuses an upload that would fill the disk, before its first byte is written.
 * @throws DeployError E_DISK_FULL, E_INODES_FULL
 */
export function checkSpace(dir: string, host: string, needBytes: number, needInodes: number): void {
  const { bavail, bsize, ffree, files } = statfsSync(dir)
  const free = Math.max(0, bavail * bsize - reserveBytes)
  if (needBytes > free) throw new DeployError('E_DISK_FULL', { host, need: needBytes, free, path: dir })
  // Some file systems have no fixed number of inodes and report none at all.
  if (files > 0 && needInodes > ffree)
    throw new DeployError('E_INODES_FULL', { host, need: needInodes, free: ffree, path: dir })
}

/** What the file system said, as an error with a next step. */
export function asStoreError(error: unknown, dir: string, host: string): DeployError {
  if (error instanceof DeployError) return error
  const why = error instanceof Error ? error.message : String(error)
  const isFull = /\b(ENOSPC|EDQUOT)\b/.test(why)
  if (!isFull) return new DeployError('E_STORE', { why }, { cause: error })
  const { bavail, bsize } = statfsSync(dir)
  return new DeployError(
    'E_DISK_FULL',
    { host, need: 'more', free: bavail * bsize, path: dir },
    { cause: error },
  )
}

/** A file to throw overboard, so that a rollback can be journalled on a full disk. */
export class Ballast {
  readonly #file: string

  constructor(dir: string) {
    this.#file = join(dir, 'ballast')
  }

  /** Takes it on board again when there is room. */
  restore(): void {
    if (existsSync(this.#file)) return
    try {
      writeFileSync(this.#file, Buffer.alloc(ballastBytes, 1))
      syncPath(this.#file)
    } catch {
      this.drop()
    }
  }

  drop(): void {
    rmSync(this.#file, { force: true })
  }
}
