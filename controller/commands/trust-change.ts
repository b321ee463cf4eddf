import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeDocument } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { RootRequest } from '../../shared/formats/request.ts'
import {
  roles,
  type Policy,
  type Role,
  type Root,
  type RootKey,
  type Scope,
} from '../../shared/formats/root.ts'
import { fingerprintOf, publicKeyBlob, publicKeyLine } from '../../shared/sshsig/public-key.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { followRoot, parseRoot } from '../../shared/trust/root.ts'
import { parseWindow } from '../../shared/trust/windows.decide.ts'
import { askYes, isInteractive } from '../cli/ask.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { keyOptions, signerFor } from '../cli/workspace.ts'
import * as edit from '../identity/edit-root.decide.ts'
import { makeKey, openFleet, openSigner, ownerName, type Fleet } from '../identity/fleet.ts'
import { readRootRequest, writeRequest } from '../identity/request-file.ts'
import { describeRoot, differencesOf } from '../identity/describe-root.ts'

const usage = (detail: string) => new DeployError('E_USAGE', { detail })
const fingerprint = (line: string) => fingerprintOf(publicKeyBlob(line))

export async function addKey(parsed: Parsed, context: CliContext): Promise<void> {
  const [owner, file] = parsed.args
  if (owner === undefined || file === undefined)
    throw usage('trust add-key needs an owner and a public key file.')
  const { root } = openFleet(context.configDir)
  const until = text(parsed, 'until')
  const entry: RootKey = {
    owner,
    key: await readPublicKey(file),
    roles: list(parsed, 'roles', ['release', 'order']).map(roleOf),
  }
  const scope = scopeOf(parsed)
  if (until !== undefined) entry.notAfter = instantOf(until)
  if (scope) entry.scope = scope
  const logins = await Promise.all(list(parsed, 'login', []).map(readLoginKey))
  if (logins.length > 0) entry.logins = logins
  await bring(edit.withKey(root, entry, fingerprint), parsed, context)
}

export async function revoke(parsed: Parsed, context: CliContext): Promise<void> {
  if (parsed.args.length === 0) throw usage('trust revoke needs owners or fingerprints.')
  const { root } = openFleet(context.configDir)
  const { root: next, keys, logins } = edit.withoutKeys(root, parsed.args, fingerprint)
  for (const { owner, key } of keys) context.out.note(`${owner} ${fingerprint(key)} signs no more`)
  for (const one of logins) context.out.note(`${one} logs in no more`)
  await bring(next, parsed, context)
}

export async function renew(parsed: Parsed, context: CliContext): Promise<void> {
  const { root } = openFleet(context.configDir)
  await bring({ ...root, expires: inYears(parsed) }, parsed, context)
}

export async function setThreshold(parsed: Parsed, context: CliContext): Promise<void> {
  const [role = '', count = ''] = parsed.args
  if (!/^[1-8]$/.test(count)) throw usage('trust threshold needs a role and a number from 1 to 8.')
  const { root } = openFleet(context.configDir)
  await bring(edit.withThreshold(root, roleOf(role), Number(count)), parsed, context)
}

export async function setPolicy(parsed: Parsed, context: CliContext): Promise<void> {
  const scope = scopeOf(parsed) ?? { services: ['*'], hosts: ['*'] }
  const approvals = text(parsed, 'approvals')
  if (approvals !== undefined && !/^[1-8]$/.test(approvals))
    throw usage('--approvals is a number from 1 to 8.')
  const { root } = openFleet(context.configDir)
  const policy = {
    scope,
    ...(approvals !== undefined && { approvals: Number(approvals) }),
    ...(parsed.flags['clean'] === true && { cleanCommit: true as const }),
    ...windowsOf(parsed),
  }
  await bring(edit.withPolicy(root, policy), parsed, context)
}

/** @throws DeployError E_USAGE */
function windowsOf(parsed: Parsed): Pick<Policy, 'windows'> {
  const given = text(parsed, 'windows')
  if (given === undefined) return {}
  const windows = given.split(';').map((one) => {
    const window = parseWindow(one)
    const isPlace = window && Intl.supportedValuesOf('timeZone').concat('UTC').includes(window.timeZone)
    if (window && isPlace) return window
    throw usage(`"${one.trim()}" is no window; one is "mon-fri 22:00-04:00 Europe/Berlin".`)
  })
  return { windows }
}

/** A new key in the place of one's own, and a root that is good for longer. */
export async function rotateKey(parsed: Parsed, context: CliContext): Promise<void> {
  const { root } = openFleet(context.configDir)
  const old = await signerFor(parsed, context)
  if (!root.keys.some(({ key }) => key === old.publicKey))
    throw new DeployError('E_KEY_UNKNOWN', { name: old.fingerprint, known: ownersOf(root) })
  const path = text(parsed, 'newKey') ?? (await makeKey(context.configDir, `signing_key.${root.version + 1}`))
  const fresh = await openSigner({ ...keyOptions(parsed, context), key: path })
  const next = { ...edit.withNewKey(root, old.publicKey, fresh.publicKey), expires: inYears(parsed) }
  context.out.note(`new key ${path}  ${fresh.fingerprint}`)
  await bring(next, parsed, context, [old, fresh])
}

/** After keys were lost, with the key that was kept apart for that. */
export async function recoverRoot(parsed: Parsed, context: CliContext): Promise<void> {
  const { root } = openFleet(context.configDir)
  const path = text(parsed, 'recoveryKey')
  if (path === undefined) throw usage('trust recover needs --recovery-key FILE.')
  const recovery = await openSigner({ ...keyOptions(parsed, context), key: path })
  const named = list(parsed, 'lost', [ownerName()])
  const lost = root.keys.filter(
    ({ owner, key }) =>
      key !== recovery.publicKey && (named.includes(owner) || named.includes(fingerprint(key))),
  )
  if (lost.length === 0)
    throw new DeployError('E_KEY_UNKNOWN', { name: named.join(', '), known: ownersOf(root) })
  const fresh = await openSigner({
    ...keyOptions(parsed, context),
    key: text(parsed, 'newKey') ?? (await makeKey(context.configDir, `signing_key.${root.version + 1}`)),
  })
  const next = edit.recovered(root, lost, lost[0]?.owner ?? ownerName(), fresh.publicKey, fingerprint)
  context.out.note(`new key ${fresh.fingerprint}; everything ordered and approved before is void`)
  await bring(next, parsed, context, [recovery, fresh])
}

/** Adds one's own signature to a root that somebody else began. */
export async function signRoot(parsed: Parsed, context: CliContext): Promise<void> {
  const [file] = parsed.args
  if (file === undefined) throw usage('trust sign needs the file that somebody else wrote.')
  const request = await readRootRequest(file)
  const bytes = Buffer.from(request.root)
  const fleet = openFleet(context.configDir)
  const root = parseRoot(bytes)
  if (isThere(fleet, request)) return context.out.line(`root ${root.version} is yours already`)
  if (whatIsMissing(fleet, request) === null) return land(request, file, fleet, context)
  const signer = await signerFor(parsed, context)
  for (const line of describeRoot(root)) context.out.line(line)
  for (const line of differencesOf(fleet.root, root)) context.out.line(line)
  await agree(`Sign root ${root.version}?`, parsed, context)
  const signature = await signer.sign(namespaces.root, bytes)
  const more = { ...request, signatures: [...request.signatures, signature] }
  // Who began it takes it up from the same file.
  await writeRequest(file, more)
  await land(more, file, fleet, context)
}

const isThere = (fleet: Fleet, { root }: RootRequest) => fleet.after(0).some((one) => one.root === root)

/** Makes a changed root the next one, signs it, and lets it count when that is enough. */
async function bring(changed: Root, parsed: Parsed, context: CliContext, signers?: readonly Signer[]) {
  const fleet = openFleet(context.configDir)
  const root = { ...changed, version: fleet.root.version + 1 }
  const bytes = encodeDocument(root)
  parseRoot(bytes)
  for (const line of differencesOf(fleet.root, root)) context.out.line(line)
  await agree(`Sign root ${root.version}?`, parsed, context)
  const all = signers ?? [await signerFor(parsed, context)]
  const signatures: string[] = []
  for (const signer of all) signatures.push(await signer.sign(namespaces.root, bytes))
  const file = text(parsed, 'output') ?? join(context.cwd, `root.${root.version}.request.json`)
  await land({ spec: 'deployctl/request/v1', root: bytes.toString(), signatures }, file, fleet, context)
}

async function agree(question: string, parsed: Parsed, { out }: CliContext) {
  if (parsed.flags['yes'] === true || !isInteractive() || out.json) return
  if (!(await askYes(question))) throw new DeployError('E_NOT_CONFIRMED', { what: question, flag: '--yes' })
}

/** A root with enough signatures counts from now on; one without goes to the next person. */
async function land(request: RootRequest, file: string, fleet: Fleet, { out }: CliContext) {
  const bytes = Buffer.from(request.root)
  const { version } = parseRoot(bytes)
  const missing = whatIsMissing(fleet, request)
  if (missing !== null) {
    await writeRequest(file, request)
    out.line(`root ${version} needs more signatures: ${missing}`)
    out.line(`Next: have it signed, deployctl trust sign ${file}`)
    return out.event({ type: 'root-pending', version, file, why: missing })
  }
  fleet.adopt([request], new Date().toISOString())
  out.event({ type: 'root-adopted', version, digest: fleet.digest })
  out.line(
    `root ${version} counts from now on; hosts follow it at their next push, or now: deployctl trust publish`,
  )
}

/** Null when it can be followed. @throws DeployError for what no further signature mends */
function whatIsMissing({ root }: Fleet, { root: text, signatures }: RootRequest): string | null {
  try {
    followRoot(root, Buffer.from(text), signatures)
    return null
  } catch (error) {
    if (error instanceof DeployError && error.code === 'E_SIGNER_UNKNOWN') return error.message
    throw error
  }
}

const ownersOf = ({ keys }: Root) => keys.map(({ owner }) => owner).join(', ')

function list(parsed: Parsed, name: string, otherwise: string[]): string[] {
  return text(parsed, name)?.split(',').filter(Boolean) ?? otherwise
}

function scopeOf(parsed: Parsed): Scope | null {
  const [services, hosts] = [list(parsed, 'services', []), list(parsed, 'hosts', [])]
  if (services.length + hosts.length === 0) return null
  return { services: services.length > 0 ? services : ['*'], hosts: hosts.length > 0 ? hosts : ['*'] }
}

function roleOf(name: string): Role {
  const role = roles.find((one) => one === name)
  if (role) return role
  throw usage(`there is no role "${name}"; there are ${roles.join(', ')}.`)
}

function instantOf(date: string): string {
  const parsed = new Date(date)
  if (Number.isNaN(parsed.getTime())) throw usage(`"${date}" is no date; write it as 2027-01-31.`)
  return parsed.toISOString()
}

function inYears(parsed: Parsed): string {
  const years = Number(text(parsed, 'years') ?? '5')
  if (!Number.isInteger(years) || years < 1 || years > 20) throw usage('--years is a number from 1 to 20.')
  const date = new Date()
  date.setUTCFullYear(date.getUTCFullYear() + years)
  return date.toISOString()
}

/** From a file, or as the line itself. */
async function readLine(file: string): Promise<string> {
  if (/^(ssh|ecdsa|sk)-/.test(file)) return file
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new DeployError('E_KEY_MISSING', { path: file }, { cause })
  })
}

async function readPublicKey(file: string): Promise<string> {
  const line = await readLine(file)
  if (/^(ssh-ed25519|sk-ssh-ed25519@openssh\.com) /.test(line)) return publicKeyLine(publicKeyBlob(line))
  throw new DeployError('E_KEY_UNREADABLE', { path: file, why: 'it is no public ed25519 key' })
}

async function readLoginKey(file: string): Promise<string> {
  return publicKeyLine(publicKeyBlob(await readLine(file)))
}
