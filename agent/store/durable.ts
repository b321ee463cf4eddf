import { spawn } from 'node:child_process'
import { syncPath } from '../../shared/durable.ts'

/** Above this many files one flush of the whole file system is faster than one of each. */
const manyFiles = 64

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
