import { randomBytes, randomUUID } from 'node:crypto'
import pLimit from 'p-limit'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { HookSpec } from '../../shared/formats/hooks.ts'
import type { Order } from '../../shared/formats/order.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import type { RolloutRecord } from '../history/rollouts.ts'
import type { Release } from '../release/build.ts'
import { Bases } from './bases.ts'
import type { DeployOptions, Ready } from './deploy-options.ts'
import { planBatches } from '../rollout/batches.decide.ts'
import { Driver } from '../rollout/driver.ts'
import { planned, type Rollout } from '../rollout/machine.ts'
import { isTakingPart, reportsOf, resultOf } from '../rollout/result.ts'
import { checkAuthority } from './authority.ts'
import { blankReport, openAll, type OpenedHosts } from './deploy.ts'
import type { HostReport } from './events.ts'
import { outcomeOf } from './outcome.decide.ts'
import { environmentOf } from './order.ts'
import type { Session } from './session.ts'
import { findBase, uploadRelease } from './upload.ts'
import type { What } from './what.ts'

/** What happens beside a rollout, such as hooks and notices. */
export type Around = {
  before(record: RolloutRecord, hooks: HookSpec | undefined): Promise<void>
  onState(record: RolloutRecord, rollout: Rollout): void
  after(record: RolloutRecord, rollout: Rollout): Promise<void>
  /** Also where it ended by an error. */
  flush(): Promise<void>
}

export type PushOptions = DeployOptions & {
  release: Release
  cacheDir: string
  strategy: Order['strategy']
  reason: string
  despiteFreeze?: boolean
  /** Upload and stop: nothing is ordered. */
  stageOnly: boolean
  /** The connections, when they were begun while the release was being made. */
  opening?: Promise<OpenedHosts> | undefined
  /** Whoever opened them needs them again. */
  keepsConnections?: boolean
  /** What happens beside the rollout. */
  around?: Around | undefined
  /** The id that the rollout gets, where somebody has to know it beforehand. */
  rolloutId?: string | undefined
  /** Told who drives the rollout, as soon as somebody does. */
  onDriver?: (driving: Driver, driver: string) => void
}

export const newRolloutId = (): string => randomBytes(16).toString('hex')

/** `rollout` is null where nothing was to be ordered. */
export type PushOutcome = { reports: HostReport[]; error: DeployError | null; rollout: Rollout | null }

/**
 * A release to all hosts of an environment. Nothing is switched anywhere before every host that must
 * take part has the whole release.
 */
export async function push(options: PushOptions): Promise<PushOutcome> {
  const { target, emit } = options
  for (const { name } of target.hosts) emit({ type: 'stage', host: name, stage: 'connecting' })
  const { opened, failed } = await (options.opening ?? openAll(options))
  const reports: HostReport[] = []
  const report = (one: HostReport) => {
    reports.push(one)
    emit({ type: 'result', ...one })
  }
  try {
    const isSkipping = target.rollout.onUnreachable === 'skip' && opened.length > 0
    for (const { host, error } of failed)
      report({ ...blankReport(host), result: isSkipping ? 'skipped' : 'aborted', error })
    const [unreachable] = isSkipping ? [] : failed
    if (unreachable) return abandon(opened, reports, report, unreachable.error)
    const uploaded = await uploadAll(opened, options)
    for (const { host, error } of uploaded.failed) report({ ...blankReport(host), result: 'aborted', error })
    const [refused] = uploaded.failed
    const others = uploaded.ready.map(({ session }) => session)
    if (refused) return abandon(others, reports, report, refused.error)
    const skipped = failed.map(({ host }) => host)
    const ordering = order(uploaded.ready, skipped, reports, report, options)
    const [outcome] = await Promise.all([ordering, remember(options)])
    return outcome
  } finally {
    if (options.keepsConnections !== true) for (const { client } of opened) client.close()
  }
}

/** Nothing was switched; the other hosts are told so as well. */
function abandon(
  others: readonly Session[],
  reports: HostReport[],
  report: (one: HostReport) => void,
  error: DeployError,
): PushOutcome {
  for (const { target } of others)
    report({ ...blankReport(target.name), result: 'aborted', reasons: ['another host could not take part'] })
  return { reports, error, rollout: null }
}

async function uploadAll(sessions: readonly Session[], options: PushOptions) {
  const { release, target, history, emit, cacheDir } = options
  const bases = new Bases(cacheDir, release.manifest.service)
  const limit = pLimit(target.rollout.policy.parallel)
  const ready: Ready[] = []
  const failed: { host: string; error: DeployError }[] = []
  const upload = async (session: Session) => {
    const host = session.target.name
    const beganMs = performance.now()
    emit({ type: 'stage', host, stage: 'uploading' })
    try {
      const base = findBase(history, history.lastKnown(host, release.manifest.service))
      const onProgress = (sent: number, total: number) => emit({ type: 'progress', host, sent, total })
      const { state } = await uploadRelease(session, { release, base, bases, onProgress })
      emit({ type: 'stage', host, stage: 'uploaded' })
      history.noteOnHost(host, release.manifest.service, release.digest)
      ready.push({ session, state, beganMs })
    } catch (error) {
      failed.push({ host, error: asDeployError(error) })
    }
  }
  await Promise.all(sessions.map((session) => limit(() => upload(session))))
  // Whose turn is when follows the order in which hosts are listed, not their speed.
  ready.sort((a, b) => sessions.indexOf(a.session) - sessions.indexOf(b.session))
  return { ready, failed }
}

/** What the next push is told as a difference to. */
async function remember({ history, release, cacheDir }: PushOptions) {
  history.keepManifest(release.digest, release.bytes, release.signatures)
  await new Bases(cacheDir, release.manifest.service).keep(release)
}

async function order(
  ready: readonly Ready[],
  skipped: readonly string[],
  reports: HostReport[],
  report: (one: HostReport) => void,
  options: PushOptions,
): Promise<PushOutcome> {
  const { release, target } = options
  const environment = environmentOf({ target })
  const isCurrent = ({ state }: Ready) =>
    state.active === release.digest &&
    state.environment === environment.digest &&
    state.instances.some((one) => one.state === 'running')
  const todo = options.stageOnly ? [] : ready.filter((one) => !isCurrent(one))
  for (const one of ready.filter((each) => !todo.includes(each))) {
    const { sent, received } = one.session.client.bytes()
    const reasons = [options.stageOnly ? 'uploaded only' : 'it runs this release already']
    const ms = Math.round(performance.now() - one.beganMs)
    report({ ...blankReport(one.session.target.name), result: 'unchanged', reasons, sent, received, ms })
  }
  if (todo.length === 0)
    return { reports, error: outcomeOf(reports.filter(isTakingPart), null), rollout: null }
  const record = makeRecord(todo, skipped, options)
  checkAuthority(todo, record.details.what, options, environment)
  const refused = options.despiteFreeze === true ? undefined : todo.find(({ state }) => state.frozen !== null)
  if (refused?.state.frozen)
    throw new DeployError('E_FROZEN', { service: record.details.what.service, ...refused.state.frozen })
  await options.around?.before(record, release.manifest.hooks)
  const driver = randomUUID()
  options.history.rollouts.create(record, driver)
  const names = new Map(todo.map((one) => [one.session.target.name, one]))
  const keepsConnections = options.keepsConnections === true
  const onState = (now: Rollout) => options.around?.onState(record, now)
  const driving = new Driver({ ...options, onState, record, driver, ready: names, keepsConnections })
  options.onDriver?.(driving, driver)
  const { rollout, reports: own } = await driving.run().catch(async (error: unknown) => {
    await options.around?.flush()
    throw error
  })
  await options.around?.after(record, rollout)
  return {
    reports: [...reports, ...reportsOf(rollout, own)],
    error: resultOf(rollout, reports, own),
    rollout,
  }
}

function makeRecord(todo: readonly Ready[], skipped: readonly string[], options: PushOptions): RolloutRecord {
  const { release, target, strategy, reason, approvals } = options
  const { provenance, version, service } = release.manifest
  const hosts = todo.map(({ session: { target: host } }) => host)
  const plan: RolloutPlan = {
    id: options.rolloutId ?? newRolloutId(),
    began: new Date().toISOString(),
    ...planBatches(hosts, target.rollout.batches),
    policy: target.rollout.policy,
  }
  const what: What = {
    action: 'deploy',
    service,
    release: release.digest,
    version,
    provenance,
    releaseSignatures: release.signatures,
    strategy,
    reason,
    despiteFreeze: options.despiteFreeze === true,
  }
  const { environment, confirmSeconds, rollout } = target
  const { rehearse, onUnreachable } = rollout
  const details = { what, environment, confirmSeconds, rehearse, onUnreachable, approvals, skipped }
  const before = todo.map(({ session, state }) => [session.target.name, { before: state.active, opId: null }])
  return { rollout: planned(plan), details, hosts: Object.fromEntries(before) as RolloutRecord['hosts'] }
}
