import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256Hex } from '../../shared/documents/document.ts'
import { Digest } from '../../shared/formats/names.ts'
import { Strict, Type, parserOf, type Static } from '../../shared/schema.ts'
import type { FileStat, ListedFile } from './list-files.ts'

/** Columns rather than rows: ten thousand small arrays take far longer to read. */
const Saved = Strict({
  version: Type.Literal(2),
  paths: Type.Array(Type.String()),
  digests: Type.Array(Digest),
  /** Four for each path: size, mtimeMs, ctimeMs, ino. */
  stats: Type.Array(Type.Number()),
})
const parser = parserOf(Saved)

/** A file changed this shortly before the scan may change again without another time stamp. */
const racyMs = 50

type Known = Static<typeof Saved>

/** Digests by the files' stat data, as git's index keeps them: an unchanged file is not read again. */
export class StatCache {
  readonly #file: string
  readonly #known: Known
  readonly #rows: ReadonlyMap<string, number>

  private constructor(file: string, known: Known) {
    this.#file = file
    this.#known = known
    this.#rows = new Map(known.paths.map((path, row) => [path, row]))
  }

  /** A missing or damaged cache is an empty one. */
  static async open(cacheDir: string, root: string): Promise<StatCache> {
    const file = join(cacheDir, 'scans', `${sha256Hex(root).slice(0, 16)}.json`)
    try {
      const saved: unknown = JSON.parse(await readFile(file, 'utf8'))
      if (parser.check(saved)) return new StatCache(file, saved)
    } catch {
      // Not there yet, or cut: every file is read once.
    }
    return new StatCache(file, { version: 2, paths: [], digests: [], stats: [] })
  }

  digestOf(file: FileStat & { path: string }): string | null {
    const row = this.#rows.get(file.path)
    if (row === undefined) return null
    const { stats, digests } = this.#known
    const at = row * statFields
    const isSame =
      file.size === stats[at] &&
      file.mtimeMs === stats[at + 1] &&
      file.ctimeMs === stats[at + 2] &&
      file.ino === stats[at + 3]
    return isSame ? (digests[row] ?? null) : null
  }

  get size(): number {
    return this.#rows.size
  }

  /**
   * The cache as it is after a scan.
   * @param takenMs wall clock before the files were listed
   */
  after(files: readonly (ListedFile & { sha256: string })[], takenMs: number): StatCache {
    const safe = files.filter(({ mtimeMs, ctimeMs }) => Math.max(mtimeMs, ctimeMs) < takenMs - racyMs)
    return new StatCache(this.#file, {
      version: 2,
      paths: safe.map(({ path }) => path),
      digests: safe.map(({ sha256 }) => sha256),
      stats: safe.flatMap(statOf),
    })
  }

  async save(): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true })
    await writeFile(`${this.#file}.${process.pid}`, JSON.stringify(this.#known))
    await rename(`${this.#file}.${process.pid}`, this.#file)
  }
}

const statFields = 4
const statOf = ({ size, mtimeMs, ctimeMs, ino }: FileStat) => [size, mtimeMs, ctimeMs, ino]
