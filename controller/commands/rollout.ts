import { DeployError } from '../../shared/errors.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { someNames } from '../cli/rollout-words.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, hostKeyFlag, keyFlag, openWorkspace, type Workspace } from '../cli/workspace.ts'
import { ago, duration, moment } from '../cli/words.ts'
import type { RolloutCommand, RolloutRecord, RolloutSummary } from '../history/rollouts.ts'
import { isEnding, type Rollout } from '../rollout/machine.ts'
import { attach, findRollout, tellOrDrive } from './rollout-drive.ts'

const undos = ['nothing', 'batch', 'all'] as const
const listed = 20

export const rolloutCommand: Command = {
  name: 'rollout',
  summary: 'see, follow, pause, go on with or stop what a push began',
  args: [
    {
      arg: '<action>',
      summary: 'what to do',
      choices: ['list', 'show', 'attach', 'pause', 'resume', 'promote', 'abort', 'retry'],
    },
    { arg: '[id]', summary: 'which: the first digits of its id; the newest when left out' },
  ],
  flags: [
    environmentFlag,
    {
      flag: '--undo <what>',
      summary: 'abort: what has switched and goes back: nothing, batch (the last one) or all',
      default: 'nothing',
    },
    { flag: '--take', summary: 'attach: drive it from here, even if another process does' },
    keyFlag,
    hostKeyFlag,
  ],
  examples: [
    'deployctl rollout list',
    'deployctl rollout attach 3f9c02aa',
    'deployctl rollout promote',
    'deployctl rollout abort --undo all',
  ],
  async run(parsed, context) {
    const [action = '', wanted] = parsed.args
    const workspace = await openWorkspace(parsed, context)
    using _ = workspace.history
    if (action === 'list') return list(workspace, context)
    const record = await findRollout(wanted, workspace)
    if (action === 'show') return show(record, workspace, context)
    if (action === 'attach') return await attach(record, parsed, workspace, context)
    return await tellOrDrive(commandOf(action, parsed), record, parsed, workspace, context)
  },
}

function commandOf(action: string, parsed: Parsed): RolloutCommand {
  if (action === 'pause' || action === 'retry') return { do: action }
  if (action !== 'abort') return { do: 'resume' }
  const undo = undos.find((one) => one === text(parsed, 'undo'))
  if (undo) return { do: 'abort', undo }
  throw new DeployError('E_USAGE', { detail: `--undo is ${undos.join(', ')}.` })
}

function list({ history, project, target }: Workspace, { out }: CliContext) {
  const found = history.rollouts.list(project.config.service, target.environment.name, listed)
  for (const one of found) out.event({ type: 'rollout', ...one })
  if (found.length === 0) return out.line('Nothing was rolled out from here yet.')
  out.line(table(['id', 'when', 'version', 'state', 'hosts'], found.map(rowOf)))
}

function rowOf({ id, began, version, state, isDriven, hosts, why }: RolloutSummary): string[] {
  const isOpen = !isEnding(state) && state !== 'paused'
  const told = isOpen && !isDriven ? `${state}, nobody drives it` : state
  const counts = Object.entries(hosts).map(([at, count]) => `${count} ${at}`)
  return [id.slice(0, 8), ago(began), version, why === null ? told : `${told}: ${why}`, counts.join(', ')]
}

function show({ rollout, details }: RolloutRecord, { history }: Workspace, { out }: CliContext) {
  const { plan, state, why, batch } = rollout
  const isDriven = history.rollouts.isDriven(plan.id)
  out.event({ type: 'rollout', ...rollout, what: details.what, isDriven })
  out.line(`rollout ${plan.id}`)
  out.line(
    `  ${details.what.service} ${details.what.version} to ${details.environment.name}, begun ${moment(plan.began)}`,
  )
  out.line(
    `  ${state}${why === null ? '' : `: ${why}`}${isDriven ? ', driven by a process on this machine' : ''}`,
  )
  for (const line of rulesOf(rollout)) out.line(`  ${line}`)
  for (const [index, names] of plan.batches.entries()) {
    const mark = index === batch && !isEnding(state) ? '→' : ' '
    out.line(
      `${mark} ${plan.canary && index === 0 ? 'canary' : `batch ${index + 1}`}: ${atText(rollout, names)}`,
    )
  }
  for (const name of details.skipped) out.line(`  left out, could not be reached: ${name}`)
  for (const line of nextOf(rollout, isDriven)) out.line(`  ${line}`)
}

function atText({ hosts }: Rollout, names: readonly string[]): string {
  const groups = new Map<string, string[]>()
  for (const name of names) groups.set(hosts[name] ?? '?', [...(groups.get(hosts[name] ?? '?') ?? []), name])
  return [...groups].map(([at, some]) => `${at} ${someNames(some)}`).join('; ')
}

function rulesOf({ plan: { policy, canary } }: Rollout): string[] {
  const { parallel, bakeSeconds, maxFailures, onFailure, promote } = policy
  const watched = duration(bakeSeconds.canary * 1000)
  return [
    `at most ${parallel} hosts at once; after more than ${maxFailures.batch} failures in a batch or ${maxFailures.total} in all: ${onFailure.replaceAll('-', ' ')}`,
    ...(canary
      ? [`the canary is watched for ${watched}${promote === 'manual' ? ', then waits to be promoted' : ''}`]
      : []),
  ]
}

function nextOf({ plan, state }: Rollout, isDriven: boolean): string[] {
  const id = plan.id.slice(0, 8)
  if (state === 'done' || state === 'rolled-back') return []
  if (state === 'paused')
    return [`on: deployctl rollout resume ${id}`, `back: deployctl rollout abort ${id} --undo all`]
  if (isEnding(state))
    return [`on: deployctl rollout retry ${id}`, `back: deployctl rollout abort ${id} --undo all`]
  return [`${isDriven ? 'look on' : 'go on'}: deployctl rollout attach ${id}`]
}
