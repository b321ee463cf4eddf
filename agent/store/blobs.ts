import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { applyDifference, type Frame } from '../../shared/wire/pack.ts'
import { syncPath } from '../../shared/durable.ts'
import { syncAll } from './durable.ts'

/** What of a blob frame the store needs; the release frame is not its business. */
export type BlobFrame = { header: Extract<Frame['header'], { blob: string }>; payload: Frame['payload'] }

const maxDifferenceBytes = 64 * 1024 * 1024

/**
 * File contents by their sha256, read-only, each written once. A content is here only when it is whole,
 * verified and durable; what was cut off waits in `partial/` to be continued.
 */
export class Blobs {
  readonly #dir: string
  readonly #incoming: string
  readonly #partial: string
  readonly #known = new Set<string>()
  #uploads = 0

  constructor(dir: string) {
    this.#dir = join(dir, 'blobs')
    this.#incoming = join(dir, 'incoming')
    this.#partial = join(dir, 'partial')
    // An upload that a dying agent left behind may not be on the disk whole.
    rmSync(this.#incoming, { recursive: true, force: true })
    for (const path of [this.#dir, this.#incoming, this.#partial])
      mkdirSync(path, { recursive: true, mode: 0o755 })
    for (const prefix of readdirSync(this.#dir))
      for (const name of readdirSync(join(this.#dir, prefix))) if (!name.includes('.')) this.#known.add(name)
  }

  has(sha256: string): boolean {
    return this.#known.has(sha256)
  }

  all(): Iterable<string> {
    return this.#known
  }

  /** Bytes that an earlier, cut upload left; the next may go on from there. */
  partialSize(sha256: string): number {
    try {
      return statSync(join(this.#partial, sha256)).size
    } catch {
      return 0
    }
  }

  read(sha256: string): Buffer {
    return readFileSync(this.#path(sha256))
  }

  /** A file to link into a release. An executable one is another inode: the mode belongs to it. */
  objectFor(sha256: string, isExecutable: boolean): string {
    const plain = this.#path(sha256)
    if (!isExecutable) return plain
    const executable = `${plain}.x`
    if (!existsSync(executable)) {
      copyFileSync(plain, `${executable}.new`)
      chmodSync(`${executable}.new`, 0o555)
      syncPath(`${executable}.new`)
      renameSync(`${executable}.new`, executable)
    }
    return executable
  }

  remove(sha256: string): void {
    this.#known.delete(sha256)
    rmSync(this.#path(sha256), { force: true })
    rmSync(`${this.#path(sha256)}.x`, { force: true })
  }

  #path(sha256: string): string {
    return join(this.#dir, sha256.slice(0, 2), sha256)
  }

  /** A place for one upload's blobs until they are durable together. */
  upload(): Upload {
    const dir = join(this.#incoming, String(++this.#uploads))
    mkdirSync(dir, { mode: 0o755 })
    return new Upload(dir, this.#partial, {
      base: (sha256) => (this.has(sha256) ? this.read(sha256) : null),
      adopt: (names) => this.#adopt(dir, names),
    })
  }

  /** Only after a flush: after a power cut a name must never stand for less than its content. */
  async #adopt(dir: string, names: readonly string[]): Promise<void> {
    await syncAll(
      dir,
      names.map((name) => join(dir, name)),
    )
    const prefixes = new Set(names.map((name) => name.slice(0, 2)))
    for (const prefix of prefixes) mkdirSync(join(this.#dir, prefix), { recursive: true, mode: 0o755 })
    for (const name of names) {
      renameSync(join(dir, name), this.#path(name))
      this.#known.add(name)
    }
    await syncAll(this.#dir, [this.#dir, ...[...prefixes].map((prefix) => join(this.#dir, prefix))])
    rmSync(dir, { recursive: true, force: true })
  }
}

type Home = { base(sha256: string): Buffer | null; adopt(names: readonly string[]): Promise<void> }

class Upload {
  readonly #dir: string
  readonly #partial: string
  readonly #home: Home
  readonly #done = new Set<string>()

  constructor(dir: string, partial: string, home: Home) {
    this.#dir = dir
    this.#partial = partial
    this.#home = home
  }

  /**
   * Takes one blob; its size was checked against the manifest by the caller.
   * @throws DeployError E_BLOB_MISMATCH, E_BASE_UNKNOWN, E_PACK_FORMAT
   */
  async add({ header, payload }: BlobFrame): Promise<void> {
    const { blob, size, base, offset = 0 } = header
    const file = join(this.#dir, blob)
    if (base !== undefined) await this.#addDifference(header, base, payload)
    else {
      if (offset + header.length !== size)
        throw new DeployError('E_PACK_FORMAT', { why: 'a blob is not as long as announced' })
      const hash = createHash('sha256')
      if (offset > 0) await this.#resume(blob, offset, hash)
      await this.#write(file, blob, offset, payload, hash)
    }
    if (offset > 0) chmodSync(file, 0o444)
    this.#done.add(blob)
  }

  async #write(
    file: string,
    blob: string,
    offset: number,
    payload: Frame['payload'],
    hash: ReturnType<typeof createHash>,
  ) {
    const fd = openSync(file, offset > 0 ? 'a' : 'wx', 0o444)
    try {
      for await (const chunk of payload) {
        hash.update(chunk)
        for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at)
      }
    } catch (error) {
      // Cut in the middle: what is there can be continued by the next push.
      renameSync(file, join(this.#partial, blob))
      throw error
    } finally {
      closeSync(fd)
    }
    if (hash.digest('hex') === blob) return
    rmSync(file)
    throw new DeployError('E_BLOB_MISMATCH', { blob })
  }

  /** Claims the beginning that an earlier upload left, by renaming it, so that only one goes on from it. */
  async #resume(blob: string, offset: number, hash: ReturnType<typeof createHash>) {
    const file = join(this.#dir, blob)
    try {
      renameSync(join(this.#partial, blob), file)
    } catch (cause) {
      throw new DeployError('E_BASE_UNKNOWN', { base: `the beginning of ${blob}` }, { cause })
    }
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
    const { size } = statSync(file)
    if (size === offset) return chmodSync(file, 0o644)
    rmSync(file)
    throw new DeployError('E_BASE_UNKNOWN', { base: `the first ${offset} bytes of ${blob}` })
  }

  async #addDifference(header: BlobFrame['header'], base: string, payload: Frame['payload']) {
    const known = this.#home.base(base)
    if (!known) throw new DeployError('E_BASE_UNKNOWN', { base })
    if (header.length > maxDifferenceBytes)
      throw new DeployError('E_PACK_FORMAT', { why: 'a difference is too large' })
    const chunks: Uint8Array[] = []
    for await (const chunk of payload) chunks.push(chunk)
    const content = applyDifference(known, Buffer.concat(chunks), header.size)
    if (createHash('sha256').update(content).digest('hex') !== header.blob)
      throw new DeployError('E_BLOB_MISMATCH', { blob: header.blob })
    const fd = openSync(join(this.#dir, header.blob), 'wx', 0o444)
    try {
      for (let at = 0; at < content.length;) at += writeSync(fd, content, at)
    } finally {
      closeSync(fd)
    }
  }

  has(sha256: string): boolean {
    return this.#done.has(sha256)
  }

  /** Makes what arrived durable and known; to be called even when the upload was cut. */
  async finish(): Promise<void> {
    await this.#home.adopt([...this.#done])
  }
}
