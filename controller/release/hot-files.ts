import { readFileSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import type { FileEntry } from '../../shared/formats/manifest.ts'
import { transformVersion, transformedPath, type ModuleGraph } from '../../shared/formats/modules.ts'
import { sha256Hex } from '../../shared/documents/document.ts'
import type { Facts } from '../../shared/hot/facts.ts'
import type { Known } from '../../shared/hot/graph.ts'

export type HotFiles = {
  graph: ModuleGraph | null
  files: { path: string; bytes: Buffer }[]
  /** Why a program that calls `createHot` cannot have its code exchanged all the same. */
  problem: string | null
}

type Program = {
  service: string
  argv: readonly string[]
  root: string
  files: readonly Pick<FileEntry, 'path' | 'sha256'>[]
}

const none: HotFiles = { graph: null, files: [], problem: null }

/** Makes the parts of a release that a running program can take in. */
export class HotFilesMaker {
  readonly #cacheDir: string
  readonly #known = new Map<string, { facts: Known; saved: number }>()

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
    const known = this.#known.get(service) ?? (await this.#open(service))
    this.#known.set(service, known)
    try {
      const made = hotModulesOf(argv, tree, known.facts)
      if (made === null) return none
      await this.#save(service, known)
      const transformed = [...made.files].map(([path, code]) => ({
        path: transformedPath(path),
        bytes: Buffer.from(code),
      }))
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
  async #open(service: string) {
    try {
      const saved: unknown = JSON.parse(await readFile(this.#file(service), 'utf8'))
      // Written by ourselves, in the user's own directory.
      const facts = new Map(saved as [string, Facts][])
      return { facts, saved: facts.size }
    } catch {
      return { facts: new Map<string, Facts>(), saved: 0 }
    }
  }

  async #save(service: string, known: { facts: Known; saved: number }) {
    if (known.facts.size === known.saved) return
    known.saved = known.facts.size
    const file = this.#file(service)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(`${file}.new`, JSON.stringify([...known.facts]))
    await rename(`${file}.new`, file)
  }
}
