import type { RolloutPolicy } from '../../shared/formats/rollout.ts'
import type { BatchRule } from '../rollout/batches.decide.ts'
import type { RolloutConfig } from './rollout-schema.ts'

const defaults = { parallel: 8, canaryBakeSeconds: 60, progressSeconds: 300 } as const

/** Everything that is to be known of a rollout before the hosts are. */
export type RolloutRule = {
  policy: RolloutPolicy
  batches: BatchRule
  onUnreachable: 'fail' | 'skip'
  rehearse: boolean
}

/** Later ones count before earlier ones, key by key: the general rollout, the environment's, the command line's. */
export function rolloutRule(...layers: readonly (RolloutConfig | undefined)[]): RolloutRule {
  const own = Object.assign({}, ...layers) as RolloutConfig
  const canary = Object.assign({}, ...layers.map((layer) => layer?.canary)) as NonNullable<
    RolloutConfig['canary']
  >
  const batches = Object.assign({}, ...layers.map((layer) => layer?.batches)) as NonNullable<
    RolloutConfig['batches']
  >
  return {
    policy: {
      parallel: own.parallel ?? defaults.parallel,
      bakeSeconds: {
        canary: canary.bakeSeconds ?? defaults.canaryBakeSeconds,
        batch: batches.bakeSeconds ?? 0,
      },
      promote: canary.promote ?? 'auto',
      // Whoever names only one of them means both.
      maxFailures: {
        batch: batches.maxFailures ?? own.maxFailures ?? 0,
        total: own.maxFailures ?? batches.maxFailures ?? 0,
      },
      onFailure: own.onFailure ?? 'stop',
      progressSeconds: own.progressSeconds ?? defaults.progressSeconds,
    },
    batches: {
      canary: canary.hosts ?? canary.count ?? null,
      size: (batches.size as BatchRule['size'] | undefined) ?? null,
      oneAtATime: batches.oneAtATime ?? [],
    },
    onUnreachable: own.onUnreachable ?? 'fail',
    rehearse: own.rehearse ?? false,
  }
}

/** The same, without anybody who goes first: all hosts at once. */
export const atOnce = (rule: RolloutRule): RolloutRule => ({
  ...rule,
  batches: { canary: null, size: null, oneAtATime: [] },
  policy: { ...rule.policy, bakeSeconds: { canary: 0, batch: 0 }, promote: 'auto' },
})
