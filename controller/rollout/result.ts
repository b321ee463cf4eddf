import { DeployError } from '../../shared/errors.ts'
import { blankReport } from '../push/deploy.ts'
import type { HostReport } from '../push/events.ts'
import { outcomeOf } from '../push/outcome.decide.ts'
import type { HostAt, Rollout } from './machine.ts'

const words: Record<HostAt, HostReport['result']> = {
  committed: 'committed',
  unchanged: 'unchanged',
  skipped: 'skipped',
  aborted: 'aborted',
  'rolled-back': 'rolled-back',
  inconsistent: 'inconsistent',
  unknown: 'unknown',
  reverted: 'rolled-back',
  'revert-failed': 'inconsistent',
  left: 'aborted',
  waiting: 'aborted',
  deploying: 'unknown',
  reverting: 'unknown',
}

/** Of all its hosts, also of those that were not seen to by this driver, and of those whose turn did not come. */
export function reportsOf(rollout: Rollout, known: ReadonlyMap<string, HostReport>): HostReport[] {
  return Object.entries(rollout.hosts).map(([host, at]) => {
    const report = known.get(host) ?? blankReport(host)
    const isLeft = at === 'left' || at === 'waiting'
    return { ...report, result: words[at], ...(isLeft && { reasons: ['its turn did not come'] }) }
  })
}

export const isTakingPart = (
  report: HostReport,
): report is HostReport & { result: Exclude<HostReport['result'], 'skipped'> } => report.result !== 'skipped'

/** What it came to as a whole; null when all is as it was asked for. */
export function resultOf(
  rollout: Rollout,
  others: readonly HostReport[],
  own: ReadonlyMap<string, HostReport>,
): DeployError | null {
  const reports = [...others, ...reportsOf(rollout, own)].filter(isTakingPart)
  const id = rollout.plan.id.slice(0, 8)
  if (rollout.state !== 'paused') return outcomeOf(reports, id)
  const done = reports.filter(({ result }) => result === 'committed' || result === 'unchanged').length
  return new DeployError('E_PAUSED', { id, why: rollout.why, done, total: reports.length })
}
