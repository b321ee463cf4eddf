import { readFile } from 'node:fs/promises'
import ssh2 from 'ssh2'
import { DeployError } from '../errors.ts'
import { armor, signedBytes } from './format.ts'
import { fingerprintOf, publicKeyLine } from './public-key.ts'
import type { Signer } from './signer.ts'
import { wireString } from './wire.ts'

const { parseKey } = ssh2.utils
type ParsedKey = Exclude<ReturnType<typeof parseKey>, Error>

/**
 * A signer from an OpenSSH private key file. `askPassphrase` is called only for a key that has one.
 * @throws DeployError E_KEY_MISSING, E_KEY_UNREADABLE, E_KEY_PASSPHRASE
 */
export async function keyFileSigner(path: string, askPassphrase?: () => Promise<string>): Promise<Signer> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new DeployError('E_KEY_MISSING', { path }, { cause })
  })
  return signerOf(await unlock(path, text, askPassphrase), path)
}

async function unlock(path: string, text: string, askPassphrase?: () => Promise<string>): Promise<ParsedKey> {
  // ssh2 returns its errors instead of throwing them.
  const plain = parseKey(text)
  if (!(plain instanceof Error)) return plain
  if (!/encrypted|passphrase/i.test(plain.message))
    throw new DeployError('E_KEY_UNREADABLE', { path, why: plain.message }, { cause: plain })
  if (!askPassphrase) throw new DeployError('E_KEY_PASSPHRASE', { path }, { cause: plain })
  const opened = parseKey(text, await askPassphrase())
  if (opened instanceof Error) throw new DeployError('E_KEY_PASSPHRASE', { path }, { cause: opened })
  return opened
}

function signerOf(key: ParsedKey, path: string): Signer {
  if (key.type !== 'ssh-ed25519')
    throw new DeployError('E_KEY_UNREADABLE', { path, why: `it is ${key.type}` })
  if (!key.isPrivateKey()) throw new DeployError('E_KEY_UNREADABLE', { path, why: 'it is a public key' })
  const blob = key.getPublicSSH()
  return {
    publicKey: publicKeyLine(blob),
    fingerprint: fingerprintOf(blob),
    sign: async (namespace, message) => {
      const raw: Buffer | Error = key.sign(signedBytes(namespace, 'sha512', message))
      if (raw instanceof Error) throw new DeployError('E_KEY_UNREADABLE', { path, why: raw.message })
      return armor(blob, namespace, 'sha512', Buffer.concat([wireString(key.type), wireString(raw)]))
    },
  }
}
