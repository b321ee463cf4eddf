import { DeployError } from '../errors.ts'
import { Manifest, manifestLimits } from '../formats/manifest.ts'
import type { Root } from '../formats/root.ts'
import { parserOf } from '../schema.ts'
import { parseDocument, sha256Hex } from './document.ts'
import { checkManifestPaths } from './path-rules.ts'
import { signersOf, type SignerName } from './trust.ts'

const parser = parserOf(Manifest)

export type OpenedRelease = { manifest: Manifest; digest: string; signers: SignerName[] }

/**
 * A signed manifest, trusted and checked: signature first, then form, then what it wants to write.
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID, E_SIGNER_UNKNOWN, E_DOCUMENT_INVALID,
 *   E_WRONG_FLEET, E_PATH_UNSAFE, E_RELEASE_TOO_LARGE
 */
export function openRelease(bytes: Uint8Array, signatures: readonly string[], root: Root): OpenedRelease {
  const signers = signersOf('release', bytes, signatures, root)
  const manifest = parseDocument(parser, bytes, 'release', { bytes: manifestLimits.bytes, depth: 16 })
  if (manifest.fleet !== root.fleet)
    throw new DeployError('E_WRONG_FLEET', { own: root.fleet, other: manifest.fleet, what: 'release' })
  checkManifestPaths(manifest)
  return { manifest, digest: sha256Hex(bytes), signers }
}
