import { createHash, verify } from 'node:crypto'
import { DeployError } from '../errors.ts'
import type { Namespace } from '../formats/namespaces.ts'
import { parseArmored, signedBytes } from './format.ts'
import { fingerprintOf, parsePublicKey, publicKeyLine, type PublicKey } from './public-key.ts'
import { WireReader, uint32 } from './wire.ts'

/** Flag of a hardware key's signature: somebody touched it. */
const userPresent = 0x01

/**
 * Whose signature this is; whether that key may sign is another question (`signersOf`).
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID
 */
export function verifySignature(
  namespace: Namespace,
  message: Uint8Array,
  signature: string,
): { publicKey: string; fingerprint: string } {
  const parsed = parseArmored(signature)
  const what = namespace.replace(/^deployctl-|-v1$/g, '')
  if (parsed.namespace !== namespace) throw new DeployError('E_SIGNATURE_INVALID', { what })
  const key = parsePublicKey(parsed.publicKey)
  const data = signedBytes(namespace, parsed.hash, message)
  if (!verifyBlob(key, data, parsed.signature)) throw new DeployError('E_SIGNATURE_INVALID', { what })
  return { publicKey: publicKeyLine(key.blob), fingerprint: fingerprintOf(key.blob) }
}

function verifyBlob(key: PublicKey, data: Buffer, blob: Buffer): boolean {
  const reader = new WireReader(blob)
  const type = reader.text()
  const raw = reader.string()
  if (type !== key.type || raw.length !== 64) return false
  if (key.application === null) {
    reader.end()
    return verify(null, data, key.key, raw)
  }
  // PROTOCOL.u2f: the token signs the application's hash, flags and counter with the message's hash.
  const flags = reader.byte()
  const counter = reader.uint32()
  reader.end()
  if ((flags & userPresent) === 0) return false
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  const head = [sha256(Buffer.from(key.application)), Buffer.from([flags]), uint32(counter)]
  return verify(null, Buffer.concat([...head, sha256(data)]), key.key, raw)
}
