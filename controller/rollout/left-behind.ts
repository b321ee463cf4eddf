import type { RolloutRecord, Rollouts } from '../history/rollouts.ts'
import type { Target } from '../config/target.ts'

const looked = 100

/** Hosts that the newest rollout that came to anything left out; null when there was none. */
export function leftBehind(
  rollouts: Rollouts,
  service: string,
  { environment, hosts }: Target,
): { record: RolloutRecord; hosts: string[] } | null {
  const newest = rollouts
    .list(service, environment.name, looked)
    .find(({ state }) => state === 'done' || state === 'partial')
  const record = newest && rollouts.load(newest.id)
  if (!record) return null
  const entries = Object.entries(record.rollout.hosts)
  const later = entries.flatMap(([host, at]) => (at === 'skipped' ? [host] : []))
  const known = new Set(hosts.map(({ name }) => name))
  return { record, hosts: [...record.details.skipped, ...later].filter((host) => known.has(host)) }
}
