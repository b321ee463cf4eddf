import { DeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { text, type Flag, type Parsed } from '../cli/command.ts'
import { RolloutConfig } from '../config/rollout-schema.ts'

const parser = parserOf(RolloutConfig)

/** What deploy.yaml says of rollouts, said for one push. */
export const rolloutFlags: readonly Flag[] = [
  { flag: '--canary <hosts>', summary: 'hosts that go first: how many, or their names' },
  { flag: '--bake <seconds>', summary: 'how long the canary is compared before the others follow' },
  { flag: '--promote', summary: 'the others follow only on `deployctl rollout promote`' },
  { flag: '--batch <size>', summary: 'hosts in a batch, or a share such as 25%' },
  { flag: '--batch-bake <seconds>', summary: 'how long each batch is watched before the next' },
  { flag: '--parallel <count>', summary: 'hosts at work at once' },
  { flag: '--max-failures <count>', summary: 'hosts that may fail before it stops' },
  { flag: '--on-failure <what>', summary: 'stop, roll-back-batch or roll-back-all' },
  { flag: '--skip-unreachable', summary: 'leave out hosts that cannot be reached' },
  { flag: '--rehearse', summary: 'prove first that the release to fall back to can start' },
]

/** @throws DeployError E_USAGE */
export function rolloutOf(parsed: Parsed): RolloutConfig {
  const number = (name: string) => {
    const given = text(parsed, name)
    return given === undefined ? undefined : Number(given)
  }
  const given = text(parsed, 'canary')
  const isCount = given !== undefined && /^\d+$/.test(given)
  const size = text(parsed, 'batch')
  const canary = defined({
    count: isCount ? Number(given) : undefined,
    hosts: given === undefined || isCount ? undefined : given.split(','),
    bakeSeconds: number('bake'),
    promote: parsed.flags['promote'] === true ? 'manual' : undefined,
  })
  const batches = defined({
    size: size !== undefined && /^\d+$/.test(size) ? Number(size) : size,
    bakeSeconds: number('batchBake'),
  })
  const config = defined({
    canary: Object.keys(canary).length > 0 ? canary : undefined,
    batches: Object.keys(batches).length > 0 ? batches : undefined,
    parallel: number('parallel'),
    maxFailures: number('maxFailures'),
    onFailure: text(parsed, 'onFailure'),
    onUnreachable: parsed.flags['skipUnreachable'] === true ? 'skip' : undefined,
    rehearse: parsed.flags['rehearse'] === true ? true : undefined,
  })
  if (parser.check(config)) return config
  const [issue] = parser.issues(config)
  const where = issue?.path.slice(1).replaceAll('/', '.') ?? ''
  throw new DeployError('E_USAGE', { detail: `The flag for ${where} ${issue?.message ?? 'cannot be'}.` })
}

const defined = (values: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
