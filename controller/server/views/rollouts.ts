import type { History } from '../../history/history.ts'
import type { RolloutSummary } from '../../history/rollouts.ts'

/** A rollout as a program or a page wants it. */
export function rolloutView(history: History, id: string) {
  const record = history.rollouts.load(id)
  if (!record) return null
  const { rollout, details, hosts } = record
  const { plan, state, batch, why, halt } = rollout
  const { what, environment, skipped } = details
  return {
    id,
    began: plan.began,
    service: what.service,
    environment: environment.name,
    release: what.release,
    version: what.version,
    reason: what.reason,
    state,
    why,
    halt: halt?.to ?? null,
    batch,
    batches: plan.batches,
    hasCanary: plan.canary,
    policy: plan.policy,
    isDriven: history.rollouts.isDriven(id),
    skipped,
    hosts: Object.entries(rollout.hosts).map(([name, at]) => ({
      name,
      at,
      before: hosts[name]?.before ?? null,
      opId: hosts[name]?.opId ?? null,
    })),
  }
}
export type RolloutView = NonNullable<ReturnType<typeof rolloutView>>

/** @param of whose; all when nothing is said */
export const rolloutSummaries = (
  { rollouts }: History,
  of: { service?: string | undefined; environment?: string | undefined },
  limit: number,
): RolloutSummary[] => rollouts.list(of.service ?? null, of.environment ?? null, limit)
