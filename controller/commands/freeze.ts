import { readFile } from 'node:fs/promises'
import { DeployError } from '../../shared/errors.ts'
import type { FreezePeriod } from '../../shared/formats/freeze.ts'
import { someNames } from '../cli/rollout-words.ts'
import { text, type Command, type Flag, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import {
  environmentFlag,
  hostFlag,
  hostKeyFlag,
  keyFlag,
  onFlag,
  openWorkspace,
  signerFor,
} from '../cli/workspace.ts'
import { moment } from '../cli/words.ts'
import { freezeAll } from '../push/freeze.ts'

const flags: readonly Flag[] = [environmentFlag, hostFlag, onFlag, keyFlag, hostKeyFlag]
const longestMs = 366 * 24 * 3600 * 1000

export const freezeCommand: Command = {
  name: 'freeze',
  summary: 'have all hosts refuse deployments of this service until some time; rolling back stays possible',
  flags: [
    { flag: '--until <time>', summary: 'when it ends: 2026-12-27, or 2026-12-27T08:00Z' },
    { flag: '--hours <count>', summary: 'or after how many hours' },
    {
      flag: '--calendar <file>',
      summary:
        "or at the times of an iCalendar file's events, for a year; in the place of the former calendar",
    },
    {
      flag: '--time-zone <place>',
      summary: "with --calendar: where its days are days (this machine's)",
    },
    { flag: '-m, --reason <text>', summary: 'why, for everybody who is refused' },
    ...flags,
  ],
  examples: [
    'deployctl freeze --until 2026-12-27 -m "the holidays"',
    'deployctl freeze --hours 4 -m "sale"',
    'deployctl freeze --calendar holidays.ics --time-zone Europe/Berlin',
  ],
  async run(parsed, context) {
    const file = text(parsed, 'calendar')
    await change(parsed, context, file === undefined ? untilOf(parsed) : await readCalendar(file, parsed))
  },
}

export const unfreezeCommand: Command = {
  name: 'unfreeze',
  summary: 'end a freeze before its time',
  flags: [{ flag: '-m, --reason <text>', summary: 'why' }, ...flags],
  examples: ['deployctl unfreeze -m "the sale is over"'],
  run: (parsed, context) => change(parsed, context, null),
}

/** @throws DeployError E_USAGE */
function untilOf(parsed: Parsed): string {
  const [until, hours] = [text(parsed, 'until'), text(parsed, 'hours')]
  const ms = until === undefined ? Date.now() + Number(hours) * 3_600_000 : Date.parse(until)
  const isGood = ms > Date.now() && ms < Date.now() + longestMs
  if (isGood && (until === undefined) !== (hours === undefined)) return new Date(ms).toISOString()
  throw new DeployError('E_USAGE', {
    detail: 'Say when it ends, within a year: --until 2026-12-27T08:00Z, or --hours 4.',
  })
}

/** @throws DeployError E_CALENDAR */
async function readCalendar(file: string, parsed: Parsed): Promise<FreezePeriod[]> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new DeployError('E_CALENDAR', { file, why: 'it cannot be read' }, { cause })
  })
  const timeZone = text(parsed, 'timeZone') ?? Intl.DateTimeFormat().resolvedOptions().timeZone
  const { periodsOf } = await import('../schedule/calendar.ts')
  const fromMs = Date.now()
  return periodsOf(content, file, { fromMs, untilMs: fromMs + longestMs, timeZone })
}

async function change(parsed: Parsed, context: CliContext, until: string | null | readonly FreezePeriod[]) {
  const workspace = await openWorkspace(parsed, context)
  using _ = workspace.history
  const { out } = context
  const { target, project, sessions } = workspace
  const { service } = project.config
  const signer = await signerFor(parsed, context)
  const reports = await freezeAll(service, until, text(parsed, 'reason') ?? '', { sessions, target, signer })
  for (const { host, error } of reports)
    out.event({ type: until === null ? 'unfrozen' : 'frozen', host, until, error: error?.toJSON() ?? null })
  if (until !== null && typeof until !== 'string')
    for (const { from, until: end, reason } of until)
      out.line(`  ${moment(from)} – ${moment(end)}  ${reason}`)
  const good = reports.filter(({ error }) => error === null).map(({ host }) => host)
  if (good.length > 0) out.line(`${service} ${toldOf(until)} on ${someNames(good)}`)
  for (const { host, error } of reports) if (error) out.note(`  ${host}: ${error.code}  ${error.message}`)
  const [failed] = reports.flatMap(({ error }) => error ?? [])
  if (failed) throw failed
}

function toldOf(until: string | null | readonly FreezePeriod[]): string {
  if (until === null) return 'is not frozen any more'
  return typeof until === 'string' ? `is frozen until ${moment(until)}` : 'is frozen at these times'
}
