import { DeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, onFlag } from '../cli/workspace.ts'
import { ago, moment } from '../cli/words.ts'
import { controllerFlag, openClient } from '../client/open-client.ts'
import type { ControllerClient } from '../client/controller-client.ts'
import { loadProject } from '../config/load.ts'
import { chooseEnvironment } from '../config/target.ts'
import { Schedule, scheduleDefaults, type ScheduledAction } from '../schedule/schedule-schema.ts'
import type { RunState } from '../schedule/due.decide.ts'
import { rolloutFlags, rolloutOf } from './rollout-flags.ts'

type Run = { schedule: string; slot: string; state: RunState; why: string | null; rollout: string | null }
type Known = Schedule & { next: string[]; last: Run | null }

const parser = parserOf(Schedule)
const actions = ['add', 'list', 'next', 'pause', 'resume', 'run', 'remove', 'history'] as const

export const scheduleCommand: Command = {
  name: 'schedule',
  summary: 'what the controller does at which times',
  args: [
    { arg: '<action>', summary: 'what to do', choices: actions },
    { arg: '[name]', summary: 'of the schedule' },
    { arg: '[cron]', summary: 'add: five fields, as cron has them' },
  ],
  flags: [
    environmentFlag,
    onFlag,
    { flag: '--do <what>', summary: 'add: deploy, catch-up, prune or verify-history', default: 'deploy' },
    {
      flag: '--channel <name>',
      summary: 'add: deploy the newest release of this channel',
      default: 'stable',
    },
    { flag: '--release <digest>', summary: 'add: deploy this one release' },
    { flag: '--keep-days <count>', summary: 'add: what prune keeps', default: '90' },
    { flag: '--time-zone <place>', summary: "add: such as Europe/Berlin (this machine's)" },
    {
      flag: '--late <minutes>',
      summary: 'add: how long a missed run is made up for; 0: not at all',
      default: '60',
    },
    { flag: '--jitter <minutes>', summary: 'add: begin up to so much later', default: '0' },
    ...rolloutFlags,
    controllerFlag,
  ],
  examples: [
    "deployctl schedule add nightly '0 3 * * mon-fri' --time-zone Europe/Berlin --canary 1",
    "deployctl schedule add tidy '30 4 * * sun' --do prune",
    'deployctl schedule next',
    'deployctl schedule history nightly',
  ],
  async run(parsed, context) {
    const [action = '', name] = parsed.args
    await using client = await openClient(parsed, context)
    if (action === 'list') return list(client, context)
    if (action === 'next') return next(client, context)
    if (action === 'add') return await add(client, parsed, context)
    if (name === undefined)
      throw new DeployError('E_USAGE', { detail: `Say which: deployctl schedule ${action} NAME` })
    if (action === 'history') return history(client, name, context)
    const path = `/schedules/${encodeURIComponent(name)}`
    if (action === 'run') await client.call({ method: 'POST', path: `${path}/runs`, body: {} })
    else if (action === 'remove') await client.call({ method: 'DELETE', path })
    else await client.call({ method: 'PATCH', path, body: { isPaused: action === 'pause' } })
    const told = { run: 'will be run now', remove: 'is removed', pause: 'is paused', resume: 'goes on' }
    context.out.event({ type: 'schedule', name, done: action })
    context.out.line(`${name} ${told[action as keyof typeof told]}`)
    if (action === 'run') context.out.line('  (by the controller: `deployctl serve`, where none is running)')
  },
}

async function add(client: ControllerClient, parsed: Parsed, context: CliContext) {
  const [, name = '', cron = ''] = parsed.args
  const { config } = await loadProject(context.cwd)
  const on = text(parsed, 'on')
  const rollout = rolloutOf(parsed)
  const spec = {
    ...scheduleDefaults,
    name,
    cron,
    timeZone: text(parsed, 'timeZone') ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    service: config.service,
    environment: chooseEnvironment(config, text(parsed, 'env')),
    ...(on !== undefined && { on }),
    action: actionOf(parsed),
    lateSeconds: minutesOf(parsed, 'late') * 60,
    jitterSeconds: minutesOf(parsed, 'jitter') * 60,
    ...(Object.keys(rollout).length > 0 && { rollout }),
  }
  const [issue] = parser.issues(spec)
  if (issue)
    throw new DeployError('E_SCHEDULE_INVALID', { why: `${issue.path.slice(1) || 'it'} ${issue.message}` })
  const { openCron } = await import('../schedule/cron.ts')
  // Said here, it is said before anything goes anywhere.
  const times = openCron(cron, spec.timeZone).next(Date.now(), 3)
  await client.call({ method: 'POST', path: '/schedules', body: spec })
  context.out.event({ type: 'schedule', ...spec })
  context.out.line(`${name}: ${doesText(spec)}; next:`)
  for (const ms of times) context.out.line(`  ${moment(new Date(ms).toISOString())}`)
}

/** @throws DeployError E_USAGE */
function actionOf(parsed: Parsed): ScheduledAction {
  const what = text(parsed, 'do')
  const release = text(parsed, 'release')
  if (what === 'deploy' && release !== undefined) return { do: 'deploy', release }
  if (what === 'deploy') return { do: 'deploy', channel: text(parsed, 'channel') ?? 'stable' }
  if (what === 'prune') return { do: 'prune', keepDays: Number(text(parsed, 'keepDays')) }
  if (what === 'catch-up' || what === 'verify-history') return { do: what }
  throw new DeployError('E_USAGE', { detail: '--do is deploy, catch-up, prune or verify-history.' })
}

function minutesOf(parsed: Parsed, flag: string): number {
  const given = text(parsed, flag) ?? ''
  if (/^\d{1,5}$/.test(given)) return Number(given)
  throw new DeployError('E_USAGE', { detail: `--${flag} is a number of minutes, not "${given}".` })
}

function doesText({
  action,
  service,
  environment,
  on,
}: Pick<Schedule, 'action' | 'service' | 'environment' | 'on'>) {
  const where = `${service} in ${environment}${on === undefined ? '' : ` on ${on}`}`
  if (action.do !== 'deploy') return `${action.do}, ${where}`
  const what = 'channel' in action ? `the newest of ${action.channel}` : action.release.slice(0, 12)
  return `deploy ${what}, ${where}`
}

const known = async (client: ControllerClient) =>
  (await client.call<{ schedules: Known[] }>({ method: 'GET', path: '/schedules' })).schedules

async function list(client: ControllerClient, { out }: CliContext) {
  const all = await known(client)
  for (const one of all) out.event({ type: 'schedule', ...one })
  if (all.length === 0) return out.line('There is no schedule yet: deployctl schedule add --help')
  const rows = all.map(({ name, cron, timeZone, isPaused, next: [first], last, ...spec }) => [
    name,
    `${cron} ${timeZone}`,
    doesText(spec),
    isPaused ? 'paused' : first === undefined ? 'never' : moment(first),
    last === null ? '-' : `${last.state} ${ago(last.slot)}${last.why === null ? '' : `: ${last.why}`}`,
  ])
  out.line(table(['name', 'when', 'what', 'next', 'last'], rows))
}

async function next(client: ControllerClient, { out }: CliContext) {
  type Due = { schedule: string; service: string; at: string }
  const { due } = await client.call<{ due: Due[] }>({ method: 'GET', path: '/schedules/calendar?days=7' })
  for (const one of due) out.event({ type: 'due', ...one })
  if (due.length === 0) return out.line('Nothing is due in the coming seven days.')
  out.line(
    table(
      ['when', 'schedule', 'service'],
      due.slice(0, 30).map(({ at, schedule, service }) => [moment(at), schedule, service]),
    ),
  )
}

async function history(client: ControllerClient, name: string, { out }: CliContext) {
  const { runs } = await client.call<{ runs: Run[] }>({
    method: 'GET',
    path: `/schedules/${encodeURIComponent(name)}/runs`,
  })
  for (const one of runs) out.event({ type: 'run', ...one })
  if (runs.length === 0) return out.line('None of its times has come yet.')
  out.line(
    table(
      ['slot', 'state', 'rollout', 'why'],
      runs.map(({ slot, state, rollout, why }) => [
        moment(slot),
        state,
        rollout?.slice(0, 8) ?? '-',
        why ?? '',
      ]),
    ),
  )
}
