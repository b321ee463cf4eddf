import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { openRelease } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import { openApproval } from '../../shared/trust/approvals.ts'
import { agreeing } from '../../shared/trust/authorize.decide.ts'
import { demandsOf } from '../../shared/trust/scope.decide.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import { configName, parseConfig } from '../config/load.ts'
import { openFleet } from '../identity/fleet.ts'
import { checkApprovals } from '../push/authority.ts'
import { environmentOf } from '../push/order.ts'
import { openSaved, readSavedContent, savedNames } from '../release/saved.ts'
import { publishedRelease } from '../release/shelf.ts'
import { ownKnownHosts } from '../transport/connect.ts'
import { projectsDir } from './projects.ts'
import { openSession } from '../push/session.ts'
import { placeOf, type Place, type Site } from './site.ts'

/**
 * A project's deploy.yaml, from now on. It comes from elsewhere: a program of its inventory would run here.
 * @throws DeployError E_CONFIG_INVALID, E_WRONG_SERVICE
 */
export async function acceptConfig({ dataDir }: Site, service: string, text: string): Promise<void> {
  const config = parseConfig(text, configName)
  if (config.service !== service)
    throw new DeployError('E_WRONG_SERVICE', { what: 'configuration', other: config.service, own: service })
  for (const { inventory } of Object.values(config.environments))
    if (inventory)
      throw new DeployError('E_CONFIG_INVALID', {
        file: configName,
        line: 1,
        column: 1,
        detail: 'hosts are to be written out for a controller; `deployctl publish` does that',
      })
  const dir = join(projectsDir(dataDir), service)
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, `${configName}.new`), text)
  await rename(join(dir, `${configName}.new`), join(dir, configName))
}

/** From now on these are the keys of those hosts, instead of any that were known for them. */
export async function acceptHostKeys({ configDir }: Site, lines: readonly string[]): Promise<void> {
  const file = ownKnownHosts(configDir)
  const names = new Set(lines.map((line) => line.split(' ')[0]))
  const text = await readFile(file, 'utf8').catch(() => '')
  const kept = text.split('\n').filter((line) => line !== '' && !names.has(line.split(' ')[0] ?? ''))
  await writeFile(`${file}.new`, [...kept, ...lines].map((line) => `${line}\n`).join(''), { mode: 0o600 })
  await rename(`${file}.new`, file)
}

export type ReleaseHead = { manifest: string; signatures: string[] }

/** @returns whether its content is here */
export const hasContent = ({ dataDir }: Site, release: string): boolean =>
  existsSync(publishedRelease(dataDir, release))

/**
 * A release with its content, which is kept once all of it is there and is what the signed manifest says.
 * @throws DeployError as openRelease and readSavedContent
 */
export async function acceptContent(
  { configDir, dataDir }: Site,
  release: string,
  { manifest, signatures }: ReleaseHead,
  content: Readable,
): Promise<void> {
  const { root } = openFleet(configDir)
  const opened = openRelease(Buffer.from(manifest), signatures, root, new Date().toISOString())
  if (opened.digest !== release) throw new DeployError('E_BLOB_MISMATCH', { blob: release })
  const dir = publishedRelease(dataDir, release)
  await mkdir(dirname(dir), { recursive: true, mode: 0o700 })
  const part = await mkdtemp(join(dirname(dir), '.part-'))
  try {
    await writeFile(join(part, savedNames.manifest), manifest)
    await writeFile(join(part, savedNames.signature), signatures.join(''))
    await pipeline(content, createWriteStream(join(part, savedNames.content)))
    await readSavedContent(part, opened, false)
    if (!existsSync(dir)) await rename(part, dir)
  } finally {
    await rm(part, { recursive: true, force: true })
  }
}

/** One that answers is enough; those that do not take their time. */
const asked = 3

/** Whoever agreed may have joined since a host was asked last; any host knows. */
async function catchUpRoot({ target, sessions }: Place): Promise<void> {
  for (const host of target.hosts.slice(0, asked))
    try {
      return (await openSession(host, sessions)).client.close()
    } catch {
      // The next one may answer; if none does, what is known here counts.
    }
}

export type Publishing = {
  service: string
  environment: string
  channel: string
  release: string
  approvals: readonly SignedApproval[]
}

/**
 * From now on it is the newest of its channel.
 * @returns until when people agreed to it
 * @throws DeployError E_NOT_PUBLISHED, E_APPROVAL_OTHER, E_APPROVALS, and as placeOf
 */
export async function acceptRelease(
  site: Site,
  { service, environment, channel, release, approvals }: Publishing,
  who: string,
): Promise<{ version: string; expires: string | null }> {
  if (!hasContent(site, release)) throw new DeployError('E_NOT_PUBLISHED', { release: release.slice(0, 12) })
  const place = await placeOf(site, service, environment)
  await catchUpRoot(place)
  const { fleet, target } = place
  const { manifest } = await openSaved(publishedRelease(site.dataDir, release), fleet.root)
  if (manifest.service !== service)
    throw new DeployError('E_WRONG_SERVICE', { what: 'release', other: manifest.service, own: service })
  const hosts = target.hosts.map(({ name }) => name)
  const about = { release, environment: environmentOf({ target }), hosts }
  const { root } = fleet
  const opened = approvals.map((one) => {
    checkApprovals(one, about)
    return openApproval(Buffer.from(one.approval), one.signatures, root)
  })
  const at = new Date().toISOString()
  const order = { service, release, environment: about.environment, epoch: root.epoch, fleet: root.fleet }
  // What the hosts would say at three in the morning is said now.
  for (const host of hosts) {
    const agreed = agreeing({ root, order, approvals: opened, host, now: at }).map(({ owner }) => owner)
    const needed = demandsOf(root, service, host).people
    if (agreed.length < needed)
      throw new DeployError('E_APPROVALS', { service, host, needed, got: agreed.join(', ') || 'nobody' })
  }
  const expires = opened.map(({ approval }) => approval.expires).toSorted()[0] ?? null
  const { version } = manifest
  site.history.published.add({ service, environment, channel, release, version, at, who, approvals, expires })
  return { version, expires }
}
