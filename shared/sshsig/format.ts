import { createHash } from 'node:crypto'
import { DeployError } from '../errors.ts'
import type { Namespace } from '../formats/namespaces.ts'
import { WireReader, uint32, wireString } from './wire.ts'

const magic = Buffer.from('SSHSIG')
const begin = '-----BEGIN SSH SIGNATURE-----'
const end = '-----END SSH SIGNATURE-----'
const hashes = new Set(['sha256', 'sha512'])

/** The parts of an SSHSIG (OpenSSH PROTOCOL.sshsig). `signature` is the SSH signature blob. */
export type SshSig = { publicKey: Buffer; namespace: string; hash: string; signature: Buffer }

/** The bytes that are signed: the message enters by its hash, beside the namespace. */
export function signedBytes(namespace: string, hash: string, message: Uint8Array): Buffer {
  const digest = createHash(hash).update(message).digest()
  return Buffer.concat([magic, wireString(namespace), wireString(''), wireString(hash), wireString(digest)])
}

/** An armored signature, as `ssh-keygen -Y sign` writes it. */
export function armor(publicKey: Buffer, namespace: Namespace, hash: string, signature: Buffer): string {
  const blob = Buffer.concat([
    magic,
    uint32(1),
    wireString(publicKey),
    wireString(namespace),
    wireString(''),
    wireString(hash),
    wireString(signature),
  ])
  return wrap(blob)
}

function wrap(blob: Buffer): string {
  const lines = blob.toString('base64').match(/.{1,70}/g) ?? []
  return `${begin}\n${lines.join('\n')}\n${end}\n`
}

/** @throws DeployError E_SIGNATURE_FORMAT */
export function parseArmored(text: string): SshSig {
  const blob = Buffer.from(text.slice(begin.length, -end.length), 'base64')
  // Buffer skips what is not base64; only the canonical text may pass, or one signature has many forms.
  if (wrap(blob) !== text)
    throw new DeployError('E_SIGNATURE_FORMAT', { why: 'it is not armored as ssh-keygen does it' })
  return parseBlob(blob)
}

function parseBlob(blob: Buffer): SshSig {
  const reader = new WireReader(blob)
  if (!reader.take(magic.length).equals(magic) || reader.uint32() !== 1)
    throw new DeployError('E_SIGNATURE_FORMAT', { why: 'it is not an SSHSIG of version 1' })
  const publicKey = reader.string()
  const namespace = reader.text()
  const reserved = reader.string()
  const hash = reader.text()
  const signature = reader.string()
  reader.end()
  if (reserved.length > 0 || !hashes.has(hash))
    throw new DeployError('E_SIGNATURE_FORMAT', { why: `its hash ${JSON.stringify(hash)} is not known` })
  return { publicKey, namespace, hash, signature }
}

/** Several signatures in one file, one after the other; `ssh-keygen -Y verify` reads the first. */
export function splitArmored(text: string): string[] {
  return text.match(/-----BEGIN SSH SIGNATURE-----\n[^-]*-----END SSH SIGNATURE-----\n/g) ?? []
}
