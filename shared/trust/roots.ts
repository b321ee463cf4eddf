import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sha256Hex } from '../documents/document.ts'
import { replaceFile } from '../durable.ts'
import { DeployError } from '../errors.ts'
import type { Root } from '../formats/root.ts'
import { splitArmored } from '../sshsig/format.ts'
import type { RootChain } from '../wire/api.ts'
import { checkRootTime, followChain, followRoot, openRoot, type SignedRoot } from './root.ts'

/** A root from a file and the signatures beside it. @throws DeployError as openRoot, and what reading throws */
export function readRoot(file: string): SignedRoot {
  return openRoot(readFileSync(file), splitArmored(readFileSync(`${file}.sig`, 'utf8')))
}

/** The root in a file, after those that led to it, as far back as they lie beside it. @throws as readRoot */
export function readChain(file: string): SignedRoot[] {
  const last = readRoot(file)
  const before = rootFile(dirname(file), last.root.version - 1)
  const earlier = existsSync(before) ? readChain(before) : []
  const previous = earlier.at(-1)
  if (previous) followRoot(previous.root, last.bytes, last.signatures)
  return [...earlier, last]
}

export const asAnswer = ({ bytes, signatures }: SignedRoot): RootChain[number] => ({
  root: bytes.toString(),
  signatures: [...signatures],
})

/** Durable, the signatures first: a root without them would be one that cannot be read. */
export function writeRoot(dir: string, { root, bytes, signatures }: SignedRoot): string {
  const file = rootFile(dir, root.version)
  replaceFile(`${file}.sig`, signatures.join(''), 0o644)
  replaceFile(file, bytes, 0o644)
  return file
}

export const rootFile = (dir: string, version: number): string => join(dir, `root.${version}.json`)

/**
 * The roots that somebody has followed, in files side by side, so that whoever is behind can be led on.
 * The first was trusted by who put it there; the last is what counts.
 */
export class Roots {
  readonly #dir: string
  readonly #chain: SignedRoot[]

  /** @throws DeployError as followRoot; E_NO_FLEET when there is none */
  constructor(dir: string) {
    this.#dir = dir
    const [first, ...rest] = versionsIn(dir).map((version) => readRoot(rootFile(dir, version)))
    if (!first) throw new DeployError('E_NO_FLEET', { path: rootFile(dir, 1) })
    this.#chain = [first, ...followChain(first, rest.map(asAnswer))]
  }

  get current(): SignedRoot {
    const last = this.#chain.at(-1)
    if (!last) throw new Error('a chain has at least one root')
    return last
  }

  get root(): Root {
    return this.current.root
  }

  get digest(): string {
    return sha256Hex(this.current.bytes)
  }

  /** The root that counted when this version was signed under it; null when it was never here. */
  version(version: number): Root | null {
    return this.#chain.find(({ root }) => root.version === version)?.root ?? null
  }

  /** As they are signed. */
  after(version: number): RootChain {
    return this.#chain.filter(({ root }) => root.version > version).map(asAnswer)
  }

  /**
   * Follows a chain that begins right after the current root; roots that are known are passed over.
   * @param now ISO instant
   * @returns whether anything was new
   * @throws DeployError as followRoot, E_ROOT_EXPIRED for the last one; then nothing is changed
   */
  adopt(chain: RootChain, now: string): boolean {
    const known = new Set(this.#chain.map(({ bytes }) => sha256Hex(bytes)))
    const followed = followChain(
      this.current,
      chain.filter(({ root }) => !known.has(sha256Hex(root))),
    )
    const last = followed.at(-1)
    if (!last) return false
    checkRootTime(last.root, now)
    for (const one of followed) {
      writeRoot(this.#dir, one)
      this.#chain.push(one)
    }
    return true
  }
}

const pattern = /^root\.([1-9]\d{0,6})\.json$/

function versionsIn(dir: string): number[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}
