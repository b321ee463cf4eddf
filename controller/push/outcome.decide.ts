import { DeployError } from '../../shared/errors.ts'
import type { DeploymentResult } from '../../shared/formats/receipt.ts'

export type HostOutcome = { host: string; result: DeploymentResult | 'unknown' | 'unchanged' }

/**
 * What a push as a whole came to: null when every host runs what was asked for, else the error that
 * tells deployed, rolled back, partial, inconsistent and unknown apart by its exit code.
 * The worst news wins: a host in doubt is told before one that is merely on the old release.
 * @param rollout how it is called in commands; null for a rollback
 */
export function outcomeOf(outcomes: readonly HostOutcome[], rollout: string | null): DeployError | null {
  const withResult = (...results: HostOutcome['result'][]) =>
    outcomes.filter(({ result }) => results.includes(result)).map(({ host }) => host)
  const total = outcomes.length
  const done = withResult('committed', 'unchanged')
  const inconsistent = withResult('inconsistent')
  const unknown = withResult('unknown')
  const rolledBack = withResult('rolled-back')
  if (done.length === total) return null
  if (inconsistent.length > 0) return new DeployError('E_INCONSISTENT', { hosts: inconsistent.join(', ') })
  if (unknown.length > 0)
    return new DeployError('E_CONNECTION_LOST', { host: unknown.join(', '), during: 'deploying' })
  if (done.length > 0) {
    const others = withResult('rolled-back', 'aborted').join(', ')
    const facts = { done: done.length, total, others }
    return rollout === null
      ? new DeployError('E_ROLLBACK_PARTIAL', facts)
      : new DeployError('E_PARTIAL', { ...facts, id: rollout })
  }
  if (rolledBack.length > 0) return new DeployError('E_ROLLED_BACK', { count: rolledBack.length, total })
  return new DeployError('E_ABORTED', { why: 'every host gave its reason above.' })
}
