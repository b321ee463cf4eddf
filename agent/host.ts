import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { replaceFile } from '../shared/durable.ts'
import { DeployError } from '../shared/errors.ts'
import { Name } from '../shared/formats/names.ts'
import { Strict, Type, parserOf, type Static } from '../shared/schema.ts'
import { generateKey } from '../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../shared/sshsig/key-file.ts'
import type { Signer } from '../shared/sshsig/signer.ts'
import { checkRootTime, type SignedRoot } from '../shared/trust/root.ts'
import { Roots, writeRoot } from '../shared/trust/roots.ts'
import { tellLogins } from './trust/logins.ts'

/** agent.json: what this host is called, and how much it keeps. */
const HostSettings = Strict({
  host: Name,
  keepReleases: Type.Optional(
    Type.Integer({ minimum: 2, maximum: 1000, description: 'Releases kept a service (5).' }),
  ),
})
type HostSettings = Static<typeof HostSettings>
const settingsParser = parserOf(HostSettings)
const defaultKeep = 5

/** A host as its agent knows it: name, trust, and its own key. */
export type Host = { dir: string; name: string; keepReleases: number; roots: Roots; signer: Signer }

export const hostPaths = (dir: string) => ({
  settings: join(dir, 'agent.json'),
  receiptKey: join(dir, 'receipt_key'),
  journal: join(dir, 'journal.sqlite'),
  socket: join(dir, 'agent.sock'),
})

/**
 * Makes a directory into a host: its name, whom it trusts, a key of its own. Done again it only renews
 * the name, and trusts the root unless it has followed a later one.
 * @param roots a chain; those before the last are for whoever is still behind
 * @throws DeployError E_ROOT_EXPIRED, E_DOCUMENT_INVALID for a bad name
 */
export function setUpHost(dir: string, name: string, roots: readonly SignedRoot[]): void {
  const paths = hostPaths(dir)
  const last = roots.at(-1)
  if (!last) throw new DeployError('E_DOCUMENT_INVALID', { what: 'root', why: 'there is none' })
  checkRootTime(last.root, new Date().toISOString())
  const settings: HostSettings = { host: name }
  if (!settingsParser.check(settings))
    throw new DeployError('E_DOCUMENT_INVALID', {
      what: 'host name',
      why: `${JSON.stringify(name)} is not a valid one`,
    })
  mkdirSync(dir, { recursive: true, mode: 0o750 })
  chmodSync(dir, 0o750)
  mkdirSync(join(dir, 'env'), { recursive: true, mode: 0o700 })
  if (!existsSync(paths.receiptKey)) {
    const { privateKey, publicKey } = generateKey(`deployctl host ${name} on ${hostname()}`)
    replaceFile(`${paths.receiptKey}.pub`, `${publicKey}\n`, 0o644)
    replaceFile(paths.receiptKey, privateKey, 0o600)
  }
  for (const root of roots) writeRoot(dir, root)
  replaceFile(paths.settings, `${JSON.stringify(settings, null, 2)}\n`, 0o644)
}

/** @throws DeployError E_HOST_NOT_SET_UP, and those of Roots and the key */
export async function openHost(dir: string): Promise<Host> {
  const paths = hostPaths(dir)
  if (!existsSync(paths.settings)) throw new DeployError('E_HOST_NOT_SET_UP', { dir })
  const settings: unknown = JSON.parse(readFileSync(paths.settings, 'utf8'))
  if (!settingsParser.check(settings)) {
    const why = settingsParser.issues(settings)[0]?.message ?? 'it has the wrong shape'
    throw new DeployError('E_DOCUMENT_INVALID', { what: paths.settings, why })
  }
  const roots = new Roots(dir)
  tellLogins(dir, roots.root)
  const signer = await keyFileSigner(paths.receiptKey)
  return { dir, name: settings.host, keepReleases: settings.keepReleases ?? defaultKeep, roots, signer }
}
