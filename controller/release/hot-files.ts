import { readFileSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import type { FileEntry } from '../../shared/formats/manifest.ts'
import { transformVersion, transformedPath, type ModuleGraph } from '../../shared/formats/modules.ts'
import { sha256Hex } from '../../shared/documents/document.ts'
import type { Facts } from '../../shared/hot/facts.ts'
import type { Known } from '../../shared/hot/graph.ts'

/** The newest; former texts of a module come again only by chance. */
const maxSaved = 20_000

export type HotFile = { path: string; bytes: Buffer; sha256: string }
export type HotFiles = {
  graph: ModuleGraph | null
  files: HotFile[]
  /** Why a program that calls `createHot` cannot have its code exchanged all the same. */
  problem: string | null
}

type Program = {
  service: string
  argv: readonly string[]
  root: string
  files: readonly Pick<FileEntry, 'path' | 'sha256'>[]
}
type Memory = Known & { texts: Map<string, HotFile & { text: string }>; isSaved: boolean }

const none: HotFiles = { graph: null, files: [], problem: null }

/** Makes the parts of a release that a running program can take in; again and again, each time what is new. */
export class HotFilesMaker {
  readonly #cacheDir: string
  readonly #memories = new Map<string, Memory>()

  constructor(cacheDir: string) {
    this.#cacheDir = cacheDir
  }

  /** @throws DeployError E_BUILD_MODULE for a module that would not run */
  async make({ service, argv, root, files }: Program): Promise<HotFiles> {
    if (!/^node(?:js)?$/.test(basename(argv[0] ?? ''))) return none
    const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]))
    const tree = {
      has: (path: string) => digests.has(path),
      read: (path: string) => readFileSync(join(root, path), 'utf8'),
      digest: (path: string) => digests.get(path) ?? '',
    }
    const { hotModulesOf } = await import('../../shared/hot/graph.ts')
    const { SourceProblem } = await import('../../shared/hot/source-problem.ts')
    const memory = this.#memories.get(service) ?? (await this.#open(service))
    this.#memories.set(service, memory)
    const before = memory.facts.size
    try {
      const made = hotModulesOf(argv, tree, memory)
      if (made === null) return none
      if (memory.facts.size !== before) memory.isSaved = false
      const transformed = [...made.files].map(([path, text]) => fileOf(memory, transformedPath(path), text))
      return { graph: made.graph, files: transformed, problem: null }
    } catch (error) {
      if (!(error instanceof SourceProblem)) throw error
      const { path, line, why, isFatal, message } = error
      if (isFatal) throw new DeployError('E_BUILD_MODULE', { path, line, why }, { cause: error })
      return { ...none, problem: message }
    }
  }

  #file(service: string) {
    return join(this.#cacheDir, 'modules', `${sha256Hex(`${transformVersion} ${service}`).slice(0, 16)}.json`)
  }

  /** What was transformed before; a missing or damaged cache only costs time. */
  async #open(service: string): Promise<Memory> {
    const empty = { cold: new Map(), texts: new Map(), isSaved: true }
    try {
      const saved: unknown = JSON.parse(await readFile(this.#file(service), 'utf8'))
      // Written by ourselves, in the user's own directory.
      return { ...empty, facts: new Map(saved as [string, Facts][]) }
    } catch {
      return { ...empty, facts: new Map() }
    }
  }

  /** For the next time that a process begins. */
  async save(): Promise<void> {
    for (const [service, memory] of this.#memories) {
      if (memory.isSaved) continue
      memory.isSaved = true
      const file = this.#file(service)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(`${file}.new`, JSON.stringify([...memory.facts].slice(-maxSaved)))
      await rename(`${file}.new`, file)
    }
  }
}

/** What did not change need not be hashed again. */
function fileOf({ texts }: Memory, path: string, text: string): HotFile {
  const known = texts.get(path)
  if (known?.text === text) return known
  const bytes = Buffer.from(text)
  const fresh = { path, bytes, sha256: sha256Hex(bytes), text }
  texts.set(path, fresh)
  return fresh
}
