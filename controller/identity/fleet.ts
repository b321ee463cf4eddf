import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { encodeDocument } from '../../shared/documents/document.ts'
import { openRoot } from '../../shared/documents/trust.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Root } from '../../shared/formats/root.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../../shared/sshsig/key-file.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { agentSigner, listAgentKeys } from '../../shared/sshsig/ssh-agent.ts'

/** The fleet this user belongs to: its root of trust, exactly as it is signed. */
export type Fleet = { root: Root; bytes: Buffer; signatures: string[] }

export type KeyOptions = {
  configDir: string
  /** A private key file, or a .pub file whose private half is in ssh-agent. */
  key?: string | undefined
  agentSocket?: string | undefined
  askPassphrase?: (path: string) => Promise<string>
}

const rootYears = 5
const names = {
  root: 'root.json',
  signature: 'root.json.sig',
  key: 'signing_key',
  choice: 'signing_key_path',
}

/** @throws DeployError E_NO_FLEET, and those of openRoot */
export async function openFleet(configDir: string): Promise<Fleet> {
  const path = join(configDir, names.root)
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new DeployError('E_NO_FLEET', { path }, { cause })
  })
  const signatures = [await readFile(join(configDir, names.signature), 'utf8')]
  return { root: openRoot(bytes, signatures, new Date().toISOString()), bytes, signatures }
}

/**
 * A new fleet whose only signer is this user, with a new key unless one is named.
 * @returns the fleet, and the fingerprint of its key
 */
export async function createFleet(
  options: KeyOptions,
): Promise<{ fleet: Fleet; fingerprint: string; keyPath: string }> {
  const { configDir } = options
  await mkdir(configDir, { recursive: true, mode: 0o700 })
  if (options.key) await writeFile(join(configDir, names.choice), `${resolve(options.key)}\n`)
  else await createKey(join(configDir, names.key))
  const signer = await openSigner(options)
  const expires = new Date()
  expires.setUTCFullYear(expires.getUTCFullYear() + rootYears)
  const root: Root = {
    spec: 'deployctl/root/v1',
    version: 1,
    fleet: randomBytes(16).toString('hex'),
    epoch: 1,
    expires: expires.toISOString(),
    keys: [{ owner: userInfo().username, key: signer.publicKey, roles: ['root', 'release', 'order'] }],
    thresholds: { root: 1, release: 1, order: 1 },
  }
  const bytes = encodeDocument(root)
  const signature = await signer.sign(namespaces.root, bytes)
  await writeFile(join(configDir, names.signature), signature)
  // The root goes last: without it there is no fleet, and init can begin anew.
  await writeFile(join(configDir, `${names.root}.new`), bytes)
  await rename(join(configDir, `${names.root}.new`), join(configDir, names.root))
  const fleet = { root, bytes, signatures: [signature] }
  return { fleet, fingerprint: signer.fingerprint, keyPath: await keyPath(options) }
}

async function createKey(path: string) {
  const { privateKey, publicKey } = generateKey(`deployctl ${userInfo().username}`)
  // Never over a key that is there.
  await writeFile(path, privateKey, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await writeFile(`${path}.pub`, `${publicKey}\n`, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

/** --key, else the choice made at init, else the key made by init. */
async function keyPath({ configDir, key }: KeyOptions): Promise<string> {
  if (key) return resolve(key.replace(/^~(?=\/)/, homedir()))
  const chosen = await readFile(join(configDir, names.choice), 'utf8').catch(() => null)
  return chosen?.trim() || join(configDir, names.key)
}

/**
 * The signing key: from ssh-agent when the agent holds it, else from its file.
 * @throws DeployError E_KEY_MISSING, E_KEY_UNREADABLE, E_KEY_PASSPHRASE, E_AGENT_REFUSED
 */
export async function openSigner(options: KeyOptions): Promise<Signer> {
  const path = await keyPath(options)
  const publicLine = await readFile(path.endsWith('.pub') ? path : `${path}.pub`, 'utf8').catch(() => null)
  if (publicLine && options.agentSocket) {
    const fingerprint = fingerprintOf(publicKeyBlob(publicLine))
    const held = await listAgentKeys(options.agentSocket).catch((error: unknown) => {
      if (path.endsWith('.pub')) throw error
      return []
    })
    if (held.some((one) => one.fingerprint === fingerprint))
      return agentSigner(options.agentSocket, publicLine)
    if (path.endsWith('.pub'))
      throw new DeployError('E_AGENT_REFUSED', { fingerprint, why: 'the agent does not hold that key' })
  }
  const { askPassphrase } = options
  return keyFileSigner(path, askPassphrase && (() => askPassphrase(path)))
}
