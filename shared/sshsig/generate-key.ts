import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { publicKeyLine } from './public-key.ts'
import { uint32, wireString } from './wire.ts'

const type = 'ssh-ed25519'
const blockBytes = 8

/**
 * A new ed25519 key pair without a passphrase: the private half as OpenSSH writes it
 * (PROTOCOL.key), the public one as a line. ssh2's own generator now and then makes a file that
 * it cannot read back, so this is ours.
 */
export function generateKey(comment: string): { privateKey: string; publicKey: string } {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]
  const publicBlob = Buffer.concat([wireString(type), wireString(point)])
  const check = randomBytes(4)
  const secret = [check, check, publicBlob, wireString(Buffer.concat([seed, point])), wireString(comment)]
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    wireString('none'),
    wireString('none'),
    wireString(''),
    uint32(1),
    wireString(publicBlob),
    wireString(padded(Buffer.concat(secret))),
  ])
  const lines = file.toString('base64').match(/.{1,70}/g) ?? []
  const edge = (word: string) => `-----${word} OPENSSH PRIVATE KEY-----\n`
  return {
    privateKey: `${edge('BEGIN')}${lines.join('\n')}\n${edge('END')}`,
    publicKey: `${publicKeyLine(publicBlob)} ${comment}`,
  }
}

/** With 1, 2, 3, … up to a whole block. */
function padded(bytes: Buffer): Buffer {
  const missing = (blockBytes - (bytes.length % blockBytes)) % blockBytes
  return Buffer.concat([bytes, Buffer.from(Array.from({ length: missing }, (_, index) => index + 1))])
}
