import { constants } from 'node:fs'
import { copyFile, mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256Hex } from '../../shared/documents/document.ts'
import type { Content, Release } from '../release/build.ts'

/** A difference to something smaller saves nothing worth a file. */
const minBytes = 4 * 1024
const maxBytes = 24 * 1024 * 1024
const maxTotalBytes = 96 * 1024 * 1024
const keptMs = 14 * 24 * 60 * 60 * 1000

/**
 * Copies of what was pushed before, so that the next version can be sent as a difference to it. Only a
 * project's own files: dependencies change by whole releases. A cache: it may be deleted at any time.
 */
export class Bases {
  readonly #dir: string

  constructor(cacheDir: string, service: string) {
    this.#dir = join(cacheDir, 'bases', service)
  }

  static isWorth(size: number): boolean {
    return size >= minBytes && size <= maxBytes
  }

  /** The content, if it is still exactly that. */
  async read(sha256: string): Promise<Buffer | null> {
    const bytes = await readFile(join(this.#dir, sha256)).catch(() => null)
    return bytes !== null && sha256Hex(bytes) === sha256 ? bytes : null
  }

  /** Remembers a release that was pushed, and forgets those of weeks ago. */
  async keep({ manifest, contents }: Release): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    const present = new Set(await readdir(this.#dir))
    const own = manifest.files.filter(
      ({ path, size }) => Bases.isWorth(size) && !/(^|\/)node_modules\//.test(path),
    )
    let total = 0
    for (const { sha256, size } of own.sort((a, b) => b.size - a.size)) {
      const content = contents.get(sha256)
      total += size
      if (total > maxTotalBytes) break
      if (present.delete(sha256)) await utimes(join(this.#dir, sha256), new Date(), new Date())
      else if (content) await this.#add(sha256, content)
    }
    for (const name of present) {
      const file = join(this.#dir, name)
      const found = await stat(file).catch(() => null)
      if (found && Date.now() - found.mtimeMs > keptMs) await rm(file, { force: true })
    }
  }

  async #add(sha256: string, content: Content) {
    const fresh = join(this.#dir, `${sha256}.${process.pid}`)
    if ('bytes' in content) await writeFile(fresh, content.bytes)
    else await copyFile(content.file, fresh, constants.COPYFILE_FICLONE)
    await rename(fresh, join(this.#dir, sha256))
  }
}
