import { Readable } from 'node:stream'
import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import { DeployError } from '../errors.ts'
import { Digest, Signatures } from '../formats/names.ts'
import { Strict, Type, parserOf, type Static } from '../schema.ts'

const Size = Type.Integer({ minimum: 0, maximum: 2 ** 53 - 1 })

/**
 * The header of a frame: one line of JSON, followed by `length` bytes of payload.
 * `release` carries a manifest and comes first; `blob` a file's content, from `offset` on when an
 * earlier upload was cut. With `base` the payload is zstd with that content as its dictionary.
 */
const Header = Type.Union([
  Strict({ release: Size, length: Size, base: Type.Optional(Digest), signatures: Signatures }),
  Strict({
    blob: Digest,
    size: Size,
    length: Size,
    base: Type.Optional(Digest),
    offset: Type.Optional(Size),
  }),
])
export type FrameHeader = Static<typeof Header>
/** The last line, with the number of frames: without it the pack was cut, perhaps between two frames. */
const End = Strict({ end: Size })
export type Frame = { header: FrameHeader; payload: AsyncIterable<Uint8Array> }

const headerParser = parserOf(Header)
const endParser = parserOf(End)
const maxHeaderBytes = 64 * 1024
const newline = 0x0a
const chunkBytes = 256 * 1024
/** The window that a dictionary of the largest difference we make needs. */
const maxWindowLog = 27
const maxDifferenceBytes = 2 ** 26

const bad = (why: string, cause?: unknown) => new DeployError('E_PACK_FORMAT', { why }, { cause })

/**
 * `next` as a difference to `base`; null when they are too large for it.
 * With zstd's defaults a dictionary beyond about 1 MB is not looked at: the window must cover both, and
 * the hash table be large enough to remember the whole of the dictionary. Long-distance matching stays
 * off: real bundles came out larger with it.
 */
export function differenceOf(base: Uint8Array, next: Uint8Array): Buffer | null {
  if (base.length + next.length > maxDifferenceBytes) return null
  const windowLog = Math.min(maxWindowLog, Math.max(17, Math.ceil(Math.log2(base.length + next.length + 1))))
  return zstdCompressSync(next, {
    dictionary: base,
    params: {
      [constants.ZSTD_c_compressionLevel]: 3,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_hashLog]: Math.min(21, windowLog - 1),
    },
  })
}

/** The content behind a difference, of exactly `size` bytes. @throws DeployError E_PACK_FORMAT */
export function applyDifference(base: Uint8Array, packed: Uint8Array, size: number): Buffer {
  if (base.length + size > maxDifferenceBytes) throw bad('a difference is too large')
  let content: Buffer
  try {
    content = zstdDecompressSync(packed, {
      dictionary: base,
      maxOutputLength: size + 1,
      params: { [constants.ZSTD_d_windowLogMax]: maxWindowLog },
    })
  } catch (cause) {
    throw bad('a difference does not unpack', cause)
  }
  if (content.length !== size) throw bad('a difference has another size than announced')
  return content
}

/** Frames as one compressed stream, made as it is read. */
export function packStream(frames: AsyncIterable<Frame> | Iterable<Frame>): Readable {
  const plain = Readable.from(inChunks(encode(frames)), { objectMode: false, highWaterMark: chunkBytes })
  const params = { [constants.ZSTD_c_compressionLevel]: 3 }
  const compress = createZstdCompress({ params, chunkSize: chunkBytes })
  plain.once('error', (error) => compress.destroy(error))
  compress.once('close', () => plain.destroy())
  return plain.pipe(compress)
}

/** Small files together: every chunk is a round through zlib's thread. */
async function* inChunks(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  for await (const piece of pieces) {
    waiting.push(piece)
    bytes += piece.length
    if (bytes < chunkBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(waiting)
}

async function* encode(frames: AsyncIterable<Frame> | Iterable<Frame>): AsyncIterable<Uint8Array> {
  let count = 0
  for await (const { header, payload } of frames) {
    count += 1
    yield Buffer.from(`${JSON.stringify(header)}\n`)
    let sent = 0
    for await (const chunk of payload) {
      sent += chunk.length
      yield chunk
    }
    if (sent !== header.length) throw bad(`a frame announced ${header.length} bytes and has ${sent}`)
  }
  yield Buffer.from(`${JSON.stringify({ end: count })}\n`)
}

/**
 * Takes a pack apart, a frame at a time and without holding more than a chunk. The caller decides by
 * the header whether it wants a frame (throw, and nothing more is read) and bounds its own sizes;
 * what it leaves unread of a payload is skipped.
 * @throws DeployError E_PACK_FORMAT when the stream is cut or is not a pack
 */
export async function readPack(packed: Readable, onFrame: (frame: Frame) => Promise<void>): Promise<void> {
  const plain = createZstdDecompress({ chunkSize: chunkBytes })
  packed.once('error', (error) => plain.destroy(error))
  packed.once('close', () => packed.readableEnded || plain.destroy(new Error('the connection was cut')))
  try {
    await readFrames(packed.pipe(plain), onFrame)
  } finally {
    plain.destroy()
    packed.unpipe(plain)
  }
}

/** What is inside a pack. @throws DeployError E_PACK_FORMAT */
export async function readFrames(
  plain: AsyncIterable<Buffer>,
  onFrame: (frame: Frame) => Promise<void>,
): Promise<void> {
  const source = new ByteSource(plain)
  for (let count = 0; ; count++) {
    const header = await readHeader(source)
    if ('end' in header) {
      if (header.end !== count) throw bad(`it has ${count} frames instead of ${header.end}`)
      return
    }
    const payload = source.take(header.length)
    await onFrame({ header, payload })
    for await (const _ of payload) continue
  }
}

async function readHeader(source: ByteSource): Promise<FrameHeader | Static<typeof End>> {
  const line = await source.line()
  let header: unknown
  try {
    header = JSON.parse(line.toString())
  } catch (cause) {
    throw bad('a header is not JSON', cause)
  }
  if (endParser.check(header)) return header
  if (!headerParser.check(header)) throw bad('a header has the wrong shape')
  return header
}

/** Reads lines and counted bytes from chunks of any size. */
class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  async #more(): Promise<boolean> {
    try {
      const { done, value } = await this.#chunks.next()
      if (done) return false
      this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, value]) : value
      return true
    } catch (cause) {
      throw bad(cause instanceof Error ? cause.message : String(cause), cause)
    }
  }

  /** Up to the next newline, without it. */
  async line(): Promise<Buffer> {
    let end = this.#rest.indexOf(newline)
    while (end < 0) {
      if (this.#rest.length > maxHeaderBytes) throw bad('a header is too long')
      if (!(await this.#more())) throw bad('it ends too early')
      end = this.#rest.indexOf(newline)
    }
    if (end > maxHeaderBytes) throw bad('a header is too long')
    const line = this.#rest.subarray(0, end)
    this.#rest = this.#rest.subarray(end + 1)
    return line
  }

  /** One iterator over the next `length` bytes; going on later continues where it stopped. */
  take(length: number): AsyncIterable<Uint8Array> {
    let left = length
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      if (left === 0) return { done: true, value: undefined }
      if (this.#rest.length === 0 && !(await this.#more())) throw bad('it ends in the middle of a file')
      const value = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(value.length)
      left -= value.length
      return { done: false, value }
    }
    return { [Symbol.asyncIterator]: () => ({ next }) }
  }
}
