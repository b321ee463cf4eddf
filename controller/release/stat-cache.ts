import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256Hex } from '../../shared/documents/document.ts'
import { Digest } from '../../shared/formats/names.ts'
import { Strict, Type, parserOf } from '../../shared/schema.ts'
import type { FileStat, ListedFile } from './list-files.ts'

const Saved = Strict({
  version: Type.Literal(1),
  takenMs: Type.Number(),
  entries: Type.Record(
    Type.String(),
    Type.Tuple([Type.Number(), Type.Number(), Type.Number(), Type.Number(), Digest]),
  ),
})
const parser = parserOf(Saved)

/** A file changed this shortly before the scan may change again without another time stamp. */
const racyMs = 50

type Entries = ReadonlyMap<string, readonly [number, number, number, number, string]>

/** Digests by the files' stat data, as git's index keeps them: an unchanged file is not read again. */
export class StatCache {
  readonly #file: string
  readonly #entries: Entries

  private constructor(file: string, entries: Entries) {
    this.#file = file
    this.#entries = entries
  }

  /** A missing or damaged cache is an empty one. */
  static async open(cacheDir: string, root: string): Promise<StatCache> {
    const file = join(cacheDir, 'scans', `${sha256Hex(root).slice(0, 16)}.json`)
    try {
      const saved: unknown = JSON.parse(await readFile(file, 'utf8'))
      if (parser.check(saved)) return new StatCache(file, new Map(Object.entries(saved.entries)))
    } catch {
      // Not there yet, or cut: every file is read once.
    }
    return new StatCache(file, new Map())
  }

  digestOf(file: FileStat & { path: string }): string | null {
    const entry = this.#entries.get(file.path)
    if (!entry) return null
    const [size, mtimeMs, ctimeMs, ino, digest] = entry
    const same =
      size === file.size && mtimeMs === file.mtimeMs && ctimeMs === file.ctimeMs && ino === file.ino
    return same ? digest : null
  }

  /** @param takenMs wall clock before the files were listed */
  async save(files: readonly (ListedFile & { sha256: string })[], takenMs: number): Promise<void> {
    const safe = files.filter(({ mtimeMs, ctimeMs }) => Math.max(mtimeMs, ctimeMs) < takenMs - racyMs)
    if (safe.length === this.#entries.size && safe.every((file) => this.digestOf(file) !== null)) return
    const entries = safe.map(({ path, size, mtimeMs, ctimeMs, ino, sha256 }) => [
      path,
      [size, mtimeMs, ctimeMs, ino, sha256],
    ])
    const text = JSON.stringify({ version: 1, takenMs, entries: Object.fromEntries(entries) })
    await mkdir(dirname(this.#file), { recursive: true })
    await writeFile(`${this.#file}.${process.pid}`, text)
    await rename(`${this.#file}.${process.pid}`, this.#file)
  }
}
