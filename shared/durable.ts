import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** fsync of a file or directory. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * The whole file or the old one, whatever happens in between.
 * @param dirMode of folders that have to be made for it
 */
export function replaceFile(path: string, content: string | Buffer, mode: number, dirMode = 0o755): void {
  const dir = dirname(path)
  mkdirSync(dir, { recursive: true, mode: dirMode })
  const fresh = `${path}.deployctl-new`
  writeFileSync(fresh, content, { mode })
  syncPath(fresh)
  renameSync(fresh, path)
  syncPath(dir)
}
