import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DeployError } from '../../shared/errors.ts'
import { openRelease, type OpenedRelease } from '../../shared/documents/release.ts'
import type { Root } from '../../shared/formats/root.ts'
import { splitArmored } from '../../shared/sshsig/format.ts'
import { packStream, readPack, type Frame } from '../../shared/wire/pack.ts'
import type { Content, Release } from './build.ts'

/** A release on disk: the signed bytes, the signatures as ssh-keygen reads them, and the content. */
export const savedNames = {
  manifest: 'release.json',
  signature: 'release.json.sig',
  content: 'content.pack',
} as const

/** Writes a release into a directory; `ssh-keygen -Y verify` can check it there without us. */
export async function saveRelease(release: Release, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  await pipeline(packStream(blobFrames(release.contents)), createWriteStream(join(dir, savedNames.content)))
  await writeFile(join(dir, savedNames.signature), release.signatures.join(''))
  await writeFile(join(dir, savedNames.manifest), release.bytes)
}

function* blobFrames(contents: ReadonlyMap<string, Content>): Iterable<Frame> {
  for (const [blob, content] of contents) yield blobFrame(blob, content)
}

/** One file's content, whole. @throws (on reading) DeployError E_BUILD_CHANGED */
export function blobFrame(blob: string, content: Content): Frame {
  const payload = 'bytes' in content ? once(content.bytes) : readExactly(content.file, content.size)
  return { header: { blob, size: content.size, length: content.size }, payload }
}

async function* once(bytes: Buffer) {
  yield bytes
}

/** Read in one go: a stream for each of ten thousand small files costs seconds. */
const smallBytes = 1024 * 1024

async function* readExactly(file: string, size: number): AsyncIterable<Uint8Array> {
  let sent = 0
  try {
    const chunks =
      size <= smallBytes
        ? [readFileSync(file)]
        : createReadStream(file, { end: size - 1, highWaterMark: smallBytes })
    for await (const chunk of chunks) {
      sent += (chunk as Buffer).length
      yield chunk as Buffer
    }
  } catch (cause) {
    throw new DeployError('E_BUILD_CHANGED', { path: file }, { cause })
  }
  if (sent !== size) throw new DeployError('E_BUILD_CHANGED', { path: file })
}

/** @throws DeployError E_RELEASE_UNKNOWN when there is none, and those of openRelease */
export async function openSaved(
  dir: string,
  root: Root,
): Promise<OpenedRelease & { bytes: Buffer; signatures: string[] }> {
  const read = (name: string) =>
    readFile(join(dir, name)).catch((cause: unknown) => {
      throw new DeployError('E_SAVED_RELEASE', { dir, why: `${name} is not there` }, { cause })
    })
  const bytes = await read(savedNames.manifest)
  const signatures = splitArmored((await read(savedNames.signature)).toString())
  return { ...openRelease(bytes, signatures, root, new Date().toISOString()), bytes, signatures }
}

/**
 * Reads a saved release's content: every file that the manifest names must be there with its digest.
 * @param keep whether a content's bytes are wanted in the answer; else only digests are checked
 * @throws DeployError E_PACK_FORMAT, E_BLOB_MISMATCH, E_BLOB_UNEXPECTED, E_RELEASE_INCOMPLETE
 */
export async function readSavedContent(
  dir: string,
  { manifest }: Pick<OpenedRelease, 'manifest'>,
  keep: boolean,
): Promise<Map<string, Content>> {
  const expected = new Map(manifest.files.map(({ sha256, size }) => [sha256, size]))
  const found = new Map<string, Content>()
  await readPack(createReadStream(join(dir, savedNames.content)), async ({ header, payload }) => {
    if (!('blob' in header) || expected.get(header.blob) !== header.size || header.length !== header.size)
      throw new DeployError('E_BLOB_UNEXPECTED', { blob: 'blob' in header ? header.blob : 'a manifest' })
    const hash = createHash('sha256')
    const chunks: Uint8Array[] = []
    for await (const chunk of payload) {
      hash.update(chunk)
      if (keep) chunks.push(chunk)
    }
    if (hash.digest('hex') !== header.blob) throw new DeployError('E_BLOB_MISMATCH', { blob: header.blob })
    found.set(header.blob, { bytes: Buffer.concat(chunks), size: header.size })
  })
  if (found.size !== expected.size)
    throw new DeployError('E_RELEASE_INCOMPLETE', { missing: expected.size - found.size })
  return found
}
