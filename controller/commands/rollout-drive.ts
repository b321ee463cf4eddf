import { DeployError } from '../../shared/errors.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { onInterrupt } from '../cli/interrupt.ts'
import { pushScreen } from '../cli/push-screen.ts'
import { signerFor, type Workspace } from '../cli/workspace.ts'
import type { RolloutCommand, RolloutRecord } from '../history/rollouts.ts'
import type { HostReport, PushEvent } from '../push/events.ts'
import { driveInBackground } from '../rollout/detach.ts'
import type { Driver } from '../rollout/driver.ts'
import { untilLeft } from '../rollout/look-on.ts'
import { rolloutFromHosts } from '../rollout/from-hosts.ts'
import { isEnding, type Rollout } from '../rollout/machine.ts'
import { mayBe } from '../rollout/may-be.decide.ts'
import { resultOf } from '../rollout/result.ts'
import { takeUp } from '../rollout/take-up.ts'
import { aroundOf } from './rollout-around.ts'

/** The rollout that is meant: as this machine knows it, else as its hosts do. @throws DeployError E_ROLLOUT_UNKNOWN, E_ROLLOUT_AMBIGUOUS */
export async function findRollout(wanted: string | undefined, workspace: Workspace): Promise<RolloutRecord> {
  const { history, project, target } = workspace
  const { rollouts } = history
  const { service } = project.config
  const newest = () => rollouts.list(service, target.environment.name, 1).map(({ id }) => id)
  const found = wanted === undefined ? newest() : rollouts.find(wanted)
  if (found.length > 1)
    throw new DeployError('E_ROLLOUT_AMBIGUOUS', {
      id: wanted,
      found: found.map((id) => id.slice(0, 12)).join(', '),
    })
  const known = found[0] === undefined ? null : rollouts.load(found[0])
  if (known) return known
  const record = wanted === undefined ? null : await rolloutFromHosts(wanted, service, workspace)
  if (!record) throw new DeployError('E_ROLLOUT_UNKNOWN', { id: wanted ?? '' })
  rollouts.create(record, null)
  return record
}

/** Sees a rollout through to where it goes no further, or looks on while somebody else does. */
export async function attach(
  record: RolloutRecord,
  parsed: Parsed,
  workspace: Workspace,
  context: CliContext,
) {
  const { id } = record.rollout.plan
  const { rollouts } = workspace.history
  if (rollouts.isDriven(id) && parsed.flags['take'] !== true) return lookOn(record, null, workspace, context)
  const { state } = record.rollout
  if (isEnding(state) || state === 'paused') return tell(record.rollout, new Map(), null, context)
  return drive(record, null, parsed, workspace, context)
}

/** Tells whoever drives it, or drives it from here on. @throws DeployError E_ROLLOUT_STATE when that cannot be told to it now */
export async function tellOrDrive(
  command: RolloutCommand,
  record: RolloutRecord,
  parsed: Parsed,
  workspace: Workspace,
  context: CliContext,
) {
  const { rollouts } = workspace.history
  const { plan, state } = record.rollout
  const isLive = rollouts.isDriven(plan.id)
  const wantsRest = command.do === 'resume' || command.do === 'retry'
  if (!mayBe(command, state, isLive))
    throw new DeployError('E_ROLLOUT_STATE', {
      id: plan.id.slice(0, 8),
      state: state.replace('-', ' '),
      command: command.do,
    })
  if (!isLive || wantsRest) return drive(record, command, parsed, workspace, context)
  rollouts.command(plan.id, command)
  return lookOn(record, command, workspace, context)
}

async function lookOn(
  { rollout }: RolloutRecord,
  command: RolloutCommand | null,
  { history }: Workspace,
  context: CliContext,
) {
  const screen = pushScreen(context.out, Object.keys(rollout.hosts))
  const { id } = rollout.plan
  const reports = new Map<string, HostReport>()
  const onEvent = (event: unknown) => {
    const told = revived(event as PushEvent)
    if (told.type === 'result') reports.set(told.host, told)
    screen.emit(told)
  }
  const ended = await untilLeft(history.rollouts, id, onEvent).finally(() => screen.end())
  if (ended) tell(ended.rollout, reports, command, context)
}

/** An event as it was before it was kept as text. */
function revived(event: PushEvent): PushEvent {
  if (event.type !== 'result' || event.error === null) return event
  const { code, facts, message } = event.error
  const error = new DeployError(code, facts)
  error.message = message
  return { ...event, error }
}

async function drive(
  record: RolloutRecord,
  command: RolloutCommand | null,
  parsed: Parsed,
  workspace: Workspace,
  context: CliContext,
) {
  const { history, sessions, target } = workspace
  const signer = await signerFor(parsed, context)
  const screen = pushScreen(context.out, Object.keys(record.rollout.hosts))
  let stop = () => {}
  const { rollout, reports } = await takeUp(record, command, {
    sessions,
    history,
    signer,
    target,
    even: parsed.flags['take'] === true,
    around: aroundOf(workspace, context),
    emit: screen.emit,
    onDriver: (driving, driver) => {
      stop = interruptible(driving, driver, screen, parsed, workspace, context)
    },
  }).finally(() => {
    stop()
    screen.end()
  })
  tell(rollout, reports, command, context)
}

/** @returns an end to it */
export function interruptible(
  driving: Driver,
  driver: string,
  screen: ReturnType<typeof pushScreen>,
  parsed: Parsed,
  { history, target }: Pick<Workspace, 'history' | 'target'>,
  context: CliContext,
): () => void {
  const { id } = driving.rollout.plan
  const key = text(parsed, 'key')
  const flags = ['-e', target.environment.name, ...(key === undefined ? [] : ['--key', key])]
  const detach = async () => {
    const { cwd, env, dataDir } = context
    driving.handOver()
    await driveInBackground({ id, driver, cwd, env, dataDir, flags, rollouts: history.rollouts })
  }
  return onInterrupt(driving, { detach, hold: screen.hold }, context)
}

/** @throws DeployError what it came to, where that is not what was asked for */
function tell(
  rollout: Rollout,
  reports: ReadonlyMap<string, HostReport>,
  command: RolloutCommand | null,
  { out }: CliContext,
) {
  const id = rollout.plan.id.slice(0, 8)
  if (command?.do === 'abort' && rollout.state === 'done')
    throw new DeployError('E_ROLLOUT_STATE', { id, state: 'done', command: 'abort' })
  const error = command && isDone(rollout, command) ? null : resultOf(rollout, [], reports)
  if (error) throw error
  out.line(`rollout ${id}: ${rollout.state}`)
}

/** Whether a command to stop it did what it says. */
function isDone({ state, hosts, plan, batch }: Rollout, command: RolloutCommand): boolean {
  if (command.do === 'pause') return state === 'paused'
  if (command.do !== 'abort' || !isEnding(state) || state === 'done') return false
  const at = (names: readonly string[]) => names.map((name) => hosts[name])
  const all = plan.batches.flat()
  const inDoubt = ['unknown', 'inconsistent', 'revert-failed']
  const undone = { nothing: [], batch: plan.batches[batch] ?? [], all }[command.undo]
  return !at(all).some((one = 'unknown') => inDoubt.includes(one)) && !at(undone).includes('committed')
}
