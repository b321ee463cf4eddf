import { asDeployError, DeployError } from '../../shared/errors.ts'
import { checkWindows } from '../../shared/trust/windows.ts'
import { atOnce } from '../config/rollout-policy.ts'
import { verifyHistory } from '../history/verify.ts'
import type { Published } from '../history/published.ts'
import type { ScheduleRun } from '../history/schedules.ts'
import { openFleet } from '../identity/fleet.ts'
import { push } from '../push/push.ts'
import { openSaved, readSavedContent } from '../release/saved.ts'
import { clearShelf, findRelease } from '../release/shelf.ts'
import type { Release } from '../release/build.ts'
import { leftBehind } from '../rollout/left-behind.ts'
import { resultOf } from '../rollout/result.ts'
import { takeUp } from '../rollout/take-up.ts'
import type { RunEnd } from '../schedule/scheduler.ts'
import type { Schedule } from '../schedule/schedule-schema.ts'
import { aroundAt, placeOf, signerOf, type Place, type Site } from './site.ts'

const done = (why: string | null): RunEnd => ({ state: 'done', why })
const listed = 100
const dayMs = 86_400_000

/** Does what a schedule says, or goes on with it where a process died over it. */
export async function carryOut(site: Site, spec: Schedule, run: ScheduleRun): Promise<RunEnd> {
  const { action } = spec
  try {
    if (action.do === 'deploy') return await deploy(site, spec, run)
    if (action.do === 'catch-up') return await catchUp(site, spec, run)
    if (action.do === 'prune') return await prune(site, action.keepDays)
    return await verify(site, spec)
  } catch (error) {
    const { code, message } = asDeployError(error)
    return { state: 'failed', why: `${code} ${message}` }
  }
}

/**
 * Why nothing may be deployed now, by what the root says and what the hosts said last. Which hosts have the labels
 * that a schedule names is not known here: such a one finds out when it begins.
 */
export function closedFor(site: Site, spec: Schedule, nowMs: number): string | null {
  const { action, service, environment, on } = spec
  if (action.do === 'prune' || action.do === 'verify-history' || on !== undefined) return null
  const now = new Date(nowMs).toISOString()
  const hosts = site.history.hostStates
    .all()
    .filter((one) => one.service === service && one.environment === environment)
  const frozen = hosts.find(({ state }) => state?.frozen && state.frozen.until > now)
  if (frozen?.state?.frozen) return `${frozen.host} is frozen until ${frozen.state.frozen.until}`
  try {
    const { root } = openFleet(site.configDir)
    for (const { host } of hosts) checkWindows(root, service, host, now)
    return null
  } catch (error) {
    return asDeployError(error).message
  }
}

async function deploy(site: Site, spec: Schedule, run: ScheduleRun): Promise<RunEnd> {
  const { service, environment, action, on, rollout } = spec
  const place = await placeOf(site, service, environment, { on, rollout })
  const begun = await goOn(site, place, run)
  if (begun) return begun
  const published = choose(site, spec)
  const name = action.do === 'deploy' && 'channel' in action ? `newest of ${action.channel}` : 'as scheduled'
  const reason = `${spec.name}: ${published.version}, ${name}`
  return await pushRelease(site, place, run, await openPublished(site, place, published.release), {
    approvals: published.approvals,
    reason,
  })
}

async function catchUp(site: Site, spec: Schedule, run: ScheduleRun): Promise<RunEnd> {
  const { service, environment, on } = spec
  const place = await placeOf(site, service, environment, { on })
  const begun = await goOn(site, place, run)
  if (begun) return begun
  const left = leftBehind(site.history.rollouts, service, place.target)
  if (!left || left.hosts.length === 0) return done('no host was left behind')
  const { what, approvals } = left.record.details
  const { target } = place
  const hosts = target.hosts.filter(({ name }) => left.hosts.includes(name))
  const rule = { ...atOnce(target.rollout), onUnreachable: 'skip' as const }
  const narrowed = { ...place, target: { ...target, hosts, rollout: rule } }
  const release = await openPublished(site, place, what.release)
  const reason = `${spec.name}: catching up to ${what.version}`
  return await pushRelease(site, narrowed, run, release, { approvals, reason })
}

/** The newest that may still be deployed. @throws DeployError E_CHANNEL_EMPTY, E_NOT_PUBLISHED */
function choose({ history, dataDir }: Site, { service, environment, action }: Schedule): Published {
  const now = new Date().toISOString()
  const may = (one: Published) =>
    (one.expires === null || one.expires > now) && findRelease(dataDir, one.release) !== null
  const channel = action.do === 'deploy' && 'channel' in action ? action.channel : null
  const wanted = action.do === 'deploy' && 'release' in action ? action.release : null
  const found = history.published
    .list(service, environment, channel, listed)
    .find((one) => may(one) && (wanted === null || one.release === wanted))
  if (found) return found
  if (wanted !== null) throw new DeployError('E_NOT_PUBLISHED', { release: wanted.slice(0, 12) })
  throw new DeployError('E_CHANNEL_EMPTY', { service, environment, channel })
}

async function openPublished({ dataDir }: Site, { fleet }: Place, release: string): Promise<Release> {
  const dir = findRelease(dataDir, release)
  if (dir === null) throw new DeployError('E_NOT_PUBLISHED', { release: release.slice(0, 12) })
  const opened = await openSaved(dir, fleet.root)
  return { ...opened, contents: await readSavedContent(dir, opened, true) }
}

async function pushRelease(
  site: Site,
  place: Place,
  { rollout }: ScheduleRun,
  release: Release,
  { approvals, reason }: Pick<Published, 'approvals'> & { reason: string },
): Promise<RunEnd> {
  const { sessions, history, target, project } = place
  const { version } = release.manifest
  const { reports, error } = await push({
    release,
    target,
    history,
    sessions,
    signer: await signerOf(site),
    approvals,
    cacheDir: site.cacheDir,
    strategy: 'auto',
    reason,
    around: aroundAt(site, project),
    stageOnly: false,
    rolloutId: rollout ?? undefined,
    emit: () => {},
  })
  if (error) return { state: 'failed', why: `${error.code} ${error.message}` }
  const changed = reports.filter(({ result }) => result === 'committed').length
  return done(changed === 0 ? `${version} runs already` : `${version} on ${changed} hosts`)
}

/** A rollout that was begun by this run, and left when its process died. */
async function goOn(site: Site, { sessions, history, target, project }: Place, run: ScheduleRun) {
  const record = run.rollout === null ? null : history.rollouts.load(run.rollout)
  if (!record) return null
  const signer = await signerOf(site)
  const around = aroundAt(site, project)
  const options = { sessions, history, signer, target, even: false, around, emit: () => {} }
  const { rollout, reports } = await takeUp(record, null, options)
  const error = resultOf(rollout, [], reports)
  if (error) return { state: 'failed' as const, why: `${error.code} ${error.message}` }
  return done(`${record.details.what.version}: ${rollout.state}`)
}

async function prune({ history, dataDir }: Site, keepDays: number): Promise<RunEnd> {
  const now = Date.now()
  const before = new Date(now - keepDays * dayMs).toISOString()
  const rows = history.prune(before)
  const all = history.published.list(null, null, null, 100_000)
  const newest = new Set<string>()
  const needed = new Set<string>()
  for (const one of all) {
    const channel = `${one.service} ${one.environment} ${one.channel}`
    const isGood = one.expires === null || one.expires > new Date(now).toISOString()
    if (!newest.has(channel) || one.at > before || isGood) needed.add(one.release)
    newest.add(channel)
  }
  for (const { release } of all) if (!needed.has(release)) history.published.forget(release)
  const releases = await clearShelf(dataDir, needed, Date.parse(before))
  return done(`${rows} rows and ${releases} releases removed`)
}

async function verify(site: Site, { service, environment, on }: Schedule): Promise<RunEnd> {
  const { fleet, target } = await placeOf(site, service, environment, { on })
  const hosts = target.hosts.map(({ name }) => name)
  const { broken, orders, receipts, total } = verifyHistory(site.history, fleet, hosts, service)
  if (broken.length === 0) return done(`${orders} orders and ${receipts} receipts are good`)
  const [first] = broken
  return { state: 'failed', why: `${broken.length} of ${total} are not good: ${first?.what}: ${first?.why}` }
}
