import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { DeployError } from '../errors.ts'
import { WireReader } from './wire.ts'

export type PublicKey = {
  type: 'ssh-ed25519' | 'sk-ssh-ed25519@openssh.com'
  /** The SSH wire form. */
  blob: Buffer
  key: KeyObject
  /** The sk key's application, bound into what it signs; null for a plain key. */
  application: string | null
}

/** @throws DeployError E_SIGNATURE_FORMAT for another type or a malformed key */
export function parsePublicKey(blob: Buffer): PublicKey {
  const reader = new WireReader(blob)
  const type = reader.text()
  if (type !== 'ssh-ed25519' && type !== 'sk-ssh-ed25519@openssh.com')
    throw new DeployError('E_SIGNATURE_FORMAT', {
      why: `keys of type ${JSON.stringify(type)} are not used here`,
    })
  const point = reader.string()
  const application = type === 'ssh-ed25519' ? null : reader.text()
  reader.end()
  if (point.length !== 32)
    throw new DeployError('E_SIGNATURE_FORMAT', { why: 'its key is not an ed25519 key' })
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }
  return { type, blob, key: createPublicKey({ format: 'jwk', key: jwk }), application }
}

/** `type base64`, without a comment. */
export function publicKeyLine(blob: Buffer): string {
  return `${new WireReader(blob).text()} ${blob.toString('base64')}`
}

/** The wire form of a line `type base64 [comment]`. @throws DeployError E_SIGNATURE_FORMAT */
export function publicKeyBlob(line: string): Buffer {
  const [type, base64 = ''] = line.trim().split(/\s+/)
  const blob = Buffer.from(base64, 'base64')
  if (blob.toString('base64') !== base64 || new WireReader(blob).text() !== type)
    throw new DeployError('E_SIGNATURE_FORMAT', { why: 'its public key is malformed' })
  return blob
}

/** As `ssh-keygen -l` shows it: SHA256:… without padding. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
