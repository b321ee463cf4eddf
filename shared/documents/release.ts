import { DeployError } from '../errors.ts'
import { Manifest, manifestLimits } from '../formats/manifest.ts'
import type { Root } from '../formats/root.ts'
import { parserOf } from '../schema.ts'
import { parseDocument, sha256Hex } from './document.ts'
import { checkManifestPaths } from './path-rules.ts'
import { namespaces } from '../formats/namespaces.ts'
import { covers } from '../trust/scope.decide.ts'
import { needPeople, whoSigned, type Signed, type SignerName } from '../trust/signers.ts'

const parser = parserOf(Manifest)

export type OpenedRelease = { manifest: Manifest; digest: string; signers: SignerName[] }

/**
 * A signed manifest, trusted and checked: signature first, then form, then what it wants to write.
 * @param now ISO instant, for keys that run out
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID, E_SIGNER_UNKNOWN, E_DOCUMENT_INVALID,
 *   E_WRONG_FLEET, E_PATH_UNSAFE, E_RELEASE_TOO_LARGE
 */
export function openRelease(
  bytes: Uint8Array,
  signatures: readonly string[],
  root: Root,
  now: string,
): OpenedRelease {
  const signed = whoSigned(namespaces.release, bytes, signatures, root)
  needPeople(signed, 'release', root, now, 'release')
  const manifest = parseDocument(parser, bytes, 'release', { bytes: manifestLimits.bytes, depth: 16 })
  if (manifest.fleet !== root.fleet)
    throw new DeployError('E_WRONG_FLEET', { own: root.fleet, other: manifest.fleet, what: 'release' })
  const signers = inScope(signed, root, manifest.service, now)
  checkManifestPaths(manifest)
  return { manifest, digest: sha256Hex(bytes), signers }
}

/**
 * Who vouches for a release that was opened before: keys may have been revoked since.
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID, E_SIGNER_UNKNOWN
 */
export function releaseSigners(
  bytes: Uint8Array,
  signatures: readonly string[],
  root: Root,
  service: string,
  now: string,
): SignerName[] {
  return inScope(whoSigned(namespaces.release, bytes, signatures, root), root, service, now)
}

function inScope(signed: Signed, root: Root, service: string, now: string): SignerName[] {
  const by = signed.by.filter(({ scope }) => covers(scope, service, null))
  return needPeople({ ...signed, by }, 'release', root, now, `release of ${service}`)
}
