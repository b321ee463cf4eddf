import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { openRelease } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import { manifestLimits, type Manifest } from '../../shared/formats/manifest.ts'
import { Signatures } from '../../shared/formats/names.ts'
import type { Root } from '../../shared/formats/root.ts'
import { Strict, Type, parserOf } from '../../shared/schema.ts'
import { UploadAnswer, packType } from '../../shared/wire/api.ts'
import { differenceOf, packStream, type Frame } from '../../shared/wire/pack.ts'
import type { History } from '../history/history.ts'
import type { Content, Release } from '../release/build.ts'
import { blobFrame } from '../release/saved.ts'
import { Bases } from './bases.ts'
import type { Session } from './session.ts'

const answerParser = parserOf(UploadAnswer)
/** After this many rounds somebody else is taking away what we bring. */
const maxRounds = 4
const progressStepBytes = 256 * 1024

/** A release that the host runs: what we send is told as a difference to it. */
export type Base = { digest: string; bytes: Buffer; manifest: Manifest }

export type UploadOptions = {
  release: Release
  /** What the host most likely runs; null when we do not know. */
  base: Base | null
  bases: Bases
  onProgress: (sent: number, total: number) => void
}

/** The manifest of a release from our own records, where only what was checked is kept. */
export function findBase(history: History, digest: string | null): Base | null {
  const kept = digest === null ? null : history.manifest(digest)
  if (!kept || digest === null) return null
  return { digest, bytes: kept.bytes, manifest: JSON.parse(kept.bytes.toString()) as Manifest }
}

const manifestParser = parserOf(
  Strict({ manifest: Type.String({ maxLength: manifestLimits.bytes }), signatures: Signatures }),
)

/** The same from the host itself; null when it has pruned it, or nobody whom the root names vouches for it. */
export async function fetchBase(
  { client }: Session,
  digest: string | null,
  root: Root,
): Promise<Base | null> {
  if (digest === null) return null
  const answer = await client.get(`/v1/releases/${digest}`, manifestParser).catch((error: unknown) => {
    if (error instanceof DeployError && error.code === 'E_RELEASE_UNKNOWN') return null
    throw error
  })
  if (!answer) return null
  const bytes = Buffer.from(answer.manifest)
  try {
    const opened = openRelease(bytes, answer.signatures, root, new Date().toISOString())
    return opened.digest === digest ? { digest, bytes, manifest: opened.manifest } : null
  } catch (error) {
    if (error instanceof DeployError && error.code === 'E_SIGNER_UNKNOWN') return null
    throw error
  }
}

/**
 * Brings a release to a host: the manifest and what is probably missing in one request, then what the
 * host says is still missing.
 * @returns the host's state with a fresh challenge
 * @throws DeployError those of the host's store, E_BUILD_CHANGED, E_CONNECTION_LOST
 */
export async function uploadRelease({ client }: Session, options: UploadOptions): Promise<UploadAnswer> {
  const { release, base } = options
  const path = `/v1/services/${release.manifest.service}/releases`
  const send = (rest: string, frames: Iterable<Frame> | AsyncIterable<Frame>) =>
    client.post(`${path}${rest}`, answerParser, packType, packStream(frames))
  // A host that has this very release need not be told its manifest.
  const first =
    base?.digest === release.digest ? send(`/${release.digest}/blobs`, []) : send('', offerFrames(options))
  let answer = await first.catch((error: unknown) => {
    // The host has pruned what we took as the base: then everything goes whole.
    if (!(error instanceof DeployError)) throw error
    if (error.code !== 'E_BASE_UNKNOWN' && error.code !== 'E_RELEASE_UNKNOWN') throw error
    return send('', offerFrames({ ...options, base: null }))
  })
  for (let round = 0; answer.missing.length > 0; round++) {
    if (round === maxRounds) throw new DeployError('E_RELEASE_INCOMPLETE', { missing: answer.missing.length })
    const isRetry = round > 0
    const frames = missingFrames(answer.missing, isRetry ? { ...options, base: null } : options)
    answer = await send(`/${release.digest}/blobs`, frames).catch((error: unknown) => {
      if (error instanceof DeployError && error.code === 'E_BASE_UNKNOWN') return answer
      throw error
    })
  }
  return answer
}

async function* wholeFrames(options: UploadOptions): AsyncIterable<Frame> {
  yield* offerFrames(options)
  const all = [...options.release.contents.keys()].map((sha256) => ({ sha256, have: 0 }))
  yield* missingFrames(all, options)
}

/** The manifest, and with a base what differs from it; without one the host is asked first. */
async function* offerFrames(options: UploadOptions): AsyncIterable<Frame> {
  const { release, base } = options
  yield manifestFrame(release, base)
  if (base === null) return
  const there = new Set(base.manifest.files.map(({ sha256 }) => sha256))
  const likely = [...new Set(release.manifest.files.map(({ sha256 }) => sha256))].filter(
    (sha256) => !there.has(sha256),
  )
  yield* missingFrames(
    likely.map((sha256) => ({ sha256, have: 0 })),
    options,
  )
}

function manifestFrame({ bytes, signatures }: Release, base: Base | null): Frame {
  const difference = base && differenceOf(base.bytes, bytes)
  const payload = difference && difference.length < bytes.length / 2 ? difference : bytes
  const header = { release: bytes.length, length: payload.length, signatures }
  return {
    header: payload === difference && base ? { ...header, base: base.digest } : header,
    payload: single(payload),
  }
}

async function* missingFrames(
  missing: UploadAnswer['missing'],
  options: UploadOptions,
): AsyncIterable<Frame> {
  const { release, base, bases, onProgress } = options
  const before = new Map(base?.manifest.files.map(({ path, sha256 }) => [path, sha256]))
  const pathOf = new Map(release.manifest.files.map(({ path, sha256 }) => [sha256, path]))
  const sizes = missing.map(({ sha256, have }) => (release.contents.get(sha256)?.size ?? 0) - have)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let sent = 0
  let told = 0
  const count = (bytes: number) => {
    sent += bytes
    if (sent - told < progressStepBytes && sent < total) return
    told = sent
    onProgress(sent, total)
  }
  for (const { sha256, have } of missing) {
    const content = release.contents.get(sha256)
    if (!content) throw new DeployError('E_BLOB_UNEXPECTED', { blob: sha256 })
    const path = pathOf.get(sha256)
    const old = path === undefined || have > 0 ? undefined : before.get(path)
    const frame =
      (old && (await differenceFrame(sha256, content, old, bases))) || wholeFrame(sha256, content, have)
    yield { header: frame.header, payload: counted(frame.payload, count) }
  }
}

async function differenceFrame(
  blob: string,
  content: Content,
  base: string,
  bases: Bases,
): Promise<Frame | null> {
  if (!Bases.isWorth(content.size)) return null
  const old = await bases.read(base)
  const next = old && ('bytes' in content ? content.bytes : await readFile(content.file).catch(() => null))
  if (!next || next.length !== content.size) return null
  const difference = differenceOf(old, next)
  if (!difference || difference.length > next.length / 2) return null
  return {
    header: { blob, size: content.size, length: difference.length, base },
    payload: single(difference),
  }
}

function wholeFrame(blob: string, content: Content, have: number): Frame {
  const whole = blobFrame(blob, content)
  if (have === 0 || have >= content.size) return whole
  return {
    header: { blob, size: content.size, length: content.size - have, offset: have },
    payload: from(whole.payload, have),
  }
}

async function* from(payload: Frame['payload'], offset: number): AsyncIterable<Uint8Array> {
  let skip = offset
  for await (const chunk of payload) {
    if (skip < chunk.length) yield chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
  }
}

async function* counted(
  payload: Frame['payload'],
  count: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  for await (const chunk of payload) {
    yield chunk
    count(chunk.length)
  }
}

async function* single(bytes: Buffer): AsyncIterable<Uint8Array> {
  yield bytes
}

/** How many bytes an upload of this release over this base would be, compressed. */
export async function uploadSize(options: UploadOptions): Promise<number> {
  let size = 0
  const stream: Readable = packStream(options.base === null ? wholeFrames(options) : offerFrames(options))
  for await (const chunk of stream) size += (chunk as Buffer).length
  return size
}
