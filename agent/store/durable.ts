import { spawn } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Above this many files one flush of the whole file system is faster than one of each. */
const manyFiles = 64

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
export function replaceFile(path: string, content: string, mode: number, dirMode = 0o755): void {
  const dir = dirname(path)
  mkdirSync(dir, { recursive: true, mode: dirMode })
  const fresh = `${path}.deployctl-new`
  writeFileSync(fresh, content, { mode })
  syncPath(fresh)
  renameSync(fresh, path)
  syncPath(dir)
}

/** Makes these files, all in the file system of `dir`, survive a power cut. */
export async function syncAll(dir: string, paths: readonly string[]): Promise<void> {
  if (paths.length >= manyFiles && (await syncFileSystem(dir))) return
  for (const path of paths) syncPath(path)
}

/** syncfs(2), which Node does not have, by way of `sync -f`; false where that does not work. */
function syncFileSystem(dir: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('sync', ['-f', '--', dir], { stdio: 'ignore' })
    child.once('error', () => resolve(false))
    child.once('close', (code) => resolve(code === 0))
  })
}
