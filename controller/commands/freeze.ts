import { DeployError } from '../../shared/errors.ts'
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
    { flag: '-m, --reason <text>', summary: 'why, for everybody who is refused' },
    ...flags,
  ],
  examples: ['deployctl freeze --until 2026-12-27 -m "the holidays"', 'deployctl freeze --hours 4 -m "sale"'],
  run: (parsed, context) => change(parsed, context, untilOf(parsed)),
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

async function change(parsed: Parsed, context: CliContext, until: string | null) {
  const workspace = await openWorkspace(parsed, context)
  using _ = workspace.history
  const { out } = context
  const { target, project, sessions } = workspace
  const { service } = project.config
  const signer = await signerFor(parsed, context)
  const reports = await freezeAll(service, until, text(parsed, 'reason') ?? '', { sessions, target, signer })
  for (const { host, error } of reports)
    out.event({ type: until === null ? 'unfrozen' : 'frozen', host, until, error: error?.toJSON() ?? null })
  const good = reports.filter(({ error }) => error === null).map(({ host }) => host)
  if (good.length > 0)
    out.line(
      `${service} ${until === null ? 'is not frozen any more' : `is frozen until ${moment(until)}`} on ${someNames(good)}`,
    )
  for (const { host, error } of reports) if (error) out.note(`  ${host}: ${error.code}  ${error.message}`)
  const [failed] = reports.flatMap(({ error }) => error ?? [])
  if (failed) throw failed
}
