import type { Readable } from 'node:stream'
import { openRelease, type OpenedRelease } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import { manifestLimits } from '../../shared/formats/manifest.ts'
import { applyDifference, readPack, type Frame } from '../../shared/wire/pack.ts'
import type { Host } from '../host.ts'
import type { Blobs } from './blobs.ts'
import type { Releases } from './releases.ts'
import { checkSpace } from './space.ts'

/** `now`: ISO instant, for keys that run out. */
type Store = { host: Host; blobs: Blobs; releases: Releases; now: string }
type Received = Pick<OpenedRelease, 'manifest' | 'digest'>

/** A sender that says nothing for this long is gone. */
const idleMs = 60_000
/** Directories, link entries and rounding up to blocks. */
const bytesPerFile = 4096

/**
 * Takes an upload. Whatever becomes of it, what arrived whole is kept, and nothing of it runs before an
 * order says so.
 * @param known the release whose contents follow; null when the pack begins with its manifest
 * @throws DeployError as openRelease, E_WRONG_SERVICE, E_BASE_UNKNOWN, E_DISK_FULL, E_INODES_FULL,
 *   E_BLOB_MISMATCH, E_BLOB_UNEXPECTED, E_PACK_FORMAT
 */
export async function receivePack(
  store: Store,
  service: string,
  known: string | null,
  pack: Readable,
): Promise<Received> {
  const { releases, blobs } = store
  let release = known === null ? null : knownRelease(store, service, known)
  const upload = blobs.upload()
  const wanted = new Map<string, number>()
  if (release) prepare(store, release, wanted)
  const idle = setTimeout(() => pack.destroy(new Error('nothing came for a minute')), idleMs)
  pack.on('data', () => idle.refresh())
  pack.pause()
  try {
    await readPack(pack, async (frame) => {
      if ('release' in frame.header) {
        if (release) throw new DeployError('E_PACK_FORMAT', { why: 'it has a second manifest' })
        release = await takeManifest(store, service, frame)
        return prepare(store, release, wanted)
      }
      const { blob, size } = frame.header
      if (!release) throw new DeployError('E_PACK_FORMAT', { why: 'it does not begin with a manifest' })
      if (wanted.get(blob) !== size) throw new DeployError('E_BLOB_UNEXPECTED', { blob })
      // Once only: without this a body could repeat itself for ever.
      wanted.delete(blob)
      if (!blobs.has(blob)) await upload.add({ header: frame.header, payload: frame.payload })
    })
  } finally {
    clearTimeout(idle)
    await upload.finish()
  }
  if (!release) throw new DeployError('E_PACK_FORMAT', { why: 'it has no manifest' })
  const { digest } = release
  const saved = releases.find(digest)
  if (!saved) throw new DeployError('E_RELEASE_UNKNOWN', { release: digest, service })
  return { manifest: saved.manifest, digest }
}

function knownRelease({ releases }: Store, service: string, digest: string): Received {
  const saved = releases.find(digest)
  if (saved?.manifest.service !== service)
    throw new DeployError('E_RELEASE_UNKNOWN', { release: digest, service })
  return { manifest: saved.manifest, digest }
}

/** What may be sent, and whether there is room for it. */
function prepare({ host, releases }: Store, { manifest }: Received, wanted: Map<string, number>) {
  for (const { sha256, size } of manifest.files) wanted.set(sha256, size)
  const missing = releases.missing(manifest)
  const bytes = missing.reduce((sum, { size }) => sum + size, 0)
  const entries = manifest.files.length + manifest.links.length + manifest.emptyDirs.length
  checkSpace(host.dir, host.name, bytes + missing.length * bytesPerFile, missing.length + entries)
}

async function takeManifest(store: Store, service: string, { header, payload }: Frame): Promise<Received> {
  if (!('release' in header))
    throw new DeployError('E_PACK_FORMAT', { why: 'it does not begin with a manifest' })
  const { host, releases } = store
  const tooLarge = header.release > manifestLimits.bytes || header.length > manifestLimits.bytes
  if (tooLarge) throw new DeployError('E_PACK_FORMAT', { why: 'its manifest is too large' })
  const chunks: Uint8Array[] = []
  for await (const chunk of payload) chunks.push(chunk)
  const sent = Buffer.concat(chunks)
  const bytes = header.base === undefined ? sent : fromBase(releases, header.base, sent, header.release)
  const opened = openRelease(bytes, header.signatures, host.roots.root, store.now)
  if (opened.manifest.service !== service)
    throw new DeployError('E_WRONG_SERVICE', {
      what: 'release',
      other: opened.manifest.service,
      own: service,
    })
  releases.save(opened.digest, { manifest: opened.manifest, bytes, signatures: header.signatures })
  return opened
}

function fromBase(releases: Releases, base: string, sent: Buffer, size: number): Buffer {
  const saved = releases.find(base)
  if (!saved) throw new DeployError('E_BASE_UNKNOWN', { base })
  return applyDifference(saved.bytes, sent, size)
}
