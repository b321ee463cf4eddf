import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { encodeDocument } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Root } from '../../shared/formats/root.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../../shared/sshsig/key-file.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { keygenSigner } from '../../shared/sshsig/keygen-signer.ts'
import { agentSigner, listAgentKeys } from '../../shared/sshsig/ssh-agent.ts'
import { Roots, writeRoot } from '../../shared/trust/roots.ts'

/** The fleet this user belongs to: its roots of trust, exactly as they are signed. */
export type Fleet = Roots

export type KeyOptions = {
  configDir: string
  /** A private key file, or a .pub file whose private half is in ssh-agent. */
  key?: string | undefined
  agentSocket?: string | undefined
  askPassphrase?: (path: string) => Promise<string>
}

const rootYears = 5
const names = {
  key: 'signing_key',
  choice: 'signing_key_path',
}

/** @throws DeployError E_NO_FLEET, and those of followRoot */
export const openFleet = (configDir: string): Fleet => new Roots(configDir)

/** A user's name as the root writes owners. */
export const ownerName = (): string =>
  userInfo()
    .username.replace(/[^A-Za-z0-9._@+-]/g, '-')
    .slice(0, 63)

/**
 * A new fleet whose only signer is this user, with a new key unless one is named.
 * @returns the fleet, and the fingerprint of its key
 */
export async function createFleet(
  options: KeyOptions,
): Promise<{ fleet: Fleet; fingerprint: string; keyPath: string }> {
  const { configDir } = options
  const keyPath = await chooseKey(options)
  const signer = await openSigner(options)
  const expires = new Date()
  expires.setUTCFullYear(expires.getUTCFullYear() + rootYears)
  const root: Root = {
    spec: 'deployctl/root/v1',
    version: 1,
    fleet: randomBytes(16).toString('hex'),
    epoch: 1,
    expires: expires.toISOString(),
    keys: [{ owner: ownerName(), key: signer.publicKey, roles: ['root', 'release', 'order'] }],
    thresholds: { root: 1, release: 1, order: 1 },
  }
  const bytes = encodeDocument(root)
  writeRoot(configDir, { root, bytes, signatures: [await signer.sign(namespaces.root, bytes)] })
  return { fleet: openFleet(configDir), fingerprint: signer.fingerprint, keyPath }
}

/** The key that signs from now on: the one named, or one that is made. Gives its path. */
export async function chooseKey(options: KeyOptions): Promise<string> {
  const { configDir, key } = options
  await mkdir(configDir, { recursive: true, mode: 0o700 })
  if (key) await writeFile(join(configDir, names.choice), `${resolve(key)}\n`)
  else if (!existsSync(join(configDir, names.choice))) await makeKey(configDir, names.key)
  return keyPath(options)
}

/** A new key in the fleet's directory, never over one that is there. Gives its path. */
export async function makeKey(configDir: string, name: string): Promise<string> {
  const path = join(configDir, name)
  const { privateKey, publicKey } = generateKey(`deployctl ${userInfo().username}`)
  const isThere = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  }
  await writeFile(path, privateKey, { mode: 0o600, flag: 'wx' }).catch(isThere)
  await writeFile(`${path}.pub`, `${publicKey}\n`, { flag: 'wx' }).catch(isThere)
  return path
}

/** --key, else the one here that the root names, else the choice made at init, else the key made by init. */
async function keyPath({ configDir, key }: KeyOptions): Promise<string> {
  if (key) return resolve(key.replace(/^~(?=\/)/, homedir()))
  const chosen = await readFile(join(configDir, names.choice), 'utf8').catch(() => null)
  const first = chosen?.trim() || join(configDir, names.key)
  if (!hasFleet(configDir)) return first
  const { root } = openFleet(configDir)
  const made = (await readdir(configDir)).filter((name) => /^signing_key(\.\d+)?$/.test(name)).sort()
  for (const path of [...made.toReversed().map((name) => join(configDir, name)), first]) {
    const line = await readFile(path.endsWith('.pub') ? path : `${path}.pub`, 'utf8').catch(() => '')
    if (root.keys.some((entry) => line.startsWith(entry.key))) return path
  }
  return first
}

export const hasFleet = (configDir: string): boolean =>
  existsSync(configDir) && readdirSync(configDir).some((name) => /^root\.\d+\.json$/.test(name))

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
  // What only a hardware key can sign goes through OpenSSH, which asks for the touch itself.
  if (publicLine?.startsWith('sk-')) return keygenSigner(path, publicLine)
  const { askPassphrase } = options
  return keyFileSigner(path, askPassphrase && (() => askPassphrase(path)))
}
