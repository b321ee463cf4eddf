import type { ComparisonNews, HostReport, RolloutNews } from '../push/events.ts'
import { table } from './table.ts'
import { duration } from './words.ts'

const namesShown = 6

/** A few of many names. */
export function someNames(names: readonly string[]): string {
  const rest = names.length - namesShown
  return rest > 1 ? `${names.slice(0, namesShown).join(', ')} and ${rest} more` : names.join(', ')
}

/** How a rollout goes on, in words; nothing where there is only one step. */
export function newsText({ state, batch, batches, hosts, why, bakeSeconds }: RolloutNews): string {
  const which = batches > 1 ? `batch ${batch} of ${batches}` : `${hosts.length} hosts`
  switch (state) {
    case 'canary':
      return `canary: ${someNames(hosts)}`
    case 'batch':
      return batches > 1 ? `${which}: ${someNames(hosts)}` : ''
    case 'baking':
      return `${batch === 1 && batches > 1 ? 'watching the canary' : `watching ${which}`} for ${duration(bakeSeconds * 1000)}`
    case 'paused':
      return `paused: ${why ?? ''}`
    case 'rolling-back':
      return `taking back what has switched: ${why ?? ''}`
    default:
      return why === null ? '' : `stopped: ${why}`
  }
}

/** How long the rest may take, judged by the hosts that are done, in milliseconds; null while none is. */
export function restMs(done: readonly HostReport[], left: number, parallel: number): number | null {
  const times = done
    .map(({ ms }) => ms)
    .filter((ms) => ms > 0)
    .sort((a, b) => a - b)
  const median = times[Math.floor(times.length / 2)]
  return median === undefined ? null : median * Math.ceil(left / parallel)
}

/** Hosts that came out alike, when they are too many for a line each. */
export function summary(reports: readonly HostReport[], name: (report: HostReport) => string): string[] {
  const groups = new Map<string, HostReport[]>()
  for (const report of reports) groups.set(name(report), [...(groups.get(name(report)) ?? []), report])
  return [...groups].map(([what, group]) => {
    const times = group.map(({ ms }) => ms).sort((a, b) => a - b)
    const [middle = 0, most = 0] = [times[Math.floor(times.length / 2)], times.at(-1)]
    const took = most > 0 ? `  ${duration(middle)} in the middle, ${duration(most)} at most` : ''
    return `${what}  ${group.length} hosts: ${someNames(group.map(({ host }) => host))}${took}`
  })
}

export const hookText = ({ command, line }: Record<string, unknown>): string =>
  `${String(command)}: ${String(line)}`

/** The canary beside the others, with what it may have. */
export function comparisonText({ canary, others, lines }: ComparisonNews): string[] {
  const text = (value: number | null, unit: string) =>
    value === null ? '–' : unit === 'ratio' ? `${(value * 100).toFixed(1)} %` : duration(value)
  const rows = lines.map(({ what, canary: own, others: their, limit, unit, isWorse }) => [
    what,
    text(own, unit),
    text(their, unit),
    text(limit, unit),
    own === null || their === null ? 'too little to go by' : isWorse ? 'WORSE' : 'good',
  ])
  const head = [`${someNames(canary)} beside ${someNames(others)}`, 'canary', 'others', 'limit', '']
  return table(head, rows).split('\n')
}
