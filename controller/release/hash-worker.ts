import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'

const buffer = Buffer.allocUnsafe(1024 * 1024)

/** sha256 in hex and the size read; the file is opened once, so both are of the same content. */
export function hashFile(file: string): { sha256: string; size: number } {
  const fd = openSync(file, 'r')
  try {
    const hash = createHash('sha256')
    let size = 0
    for (;;) {
      const count = readSync(fd, buffer)
      if (count === 0) break
      hash.update(buffer.subarray(0, count))
      size += count
    }
    if (fstatSync(fd).size !== size) throw new Error(`${file} changed while it was read`)
    return { sha256: hash.digest('hex'), size }
  } finally {
    closeSync(fd)
  }
}

parentPort?.on('message', (files: string[]) => {
  const answers = files.map((file) => {
    try {
      return hashFile(file)
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) }
    }
  })
  parentPort?.postMessage(answers)
})
