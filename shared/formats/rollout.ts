import { Strict, Type, type Static } from '../schema.ts'
import { Instant, Name, OpId } from './names.ts'

const Failures = Type.Integer({ minimum: 0, maximum: 1000 })
const maxSeconds = 7 * 24 * 3600

export const OnFailure = Type.Union([
  Type.Literal('stop'),
  Type.Literal('roll-back-batch'),
  Type.Literal('roll-back-all'),
])
export type OnFailure = Static<typeof OnFailure>

/** How a rollout goes on, and when it does not. */
export const RolloutPolicy = Strict({
  /** Hosts that are worked on at once. */
  parallel: Type.Integer({ minimum: 1, maximum: 1000 }),
  /** Seconds for which the hosts of a batch are watched before the next one begins. */
  bakeSeconds: Strict({
    canary: Type.Number({ minimum: 0, maximum: maxSeconds }),
    batch: Type.Number({ minimum: 0, maximum: maxSeconds }),
  }),
  /** Whether somebody has to say so before the others follow the canary. */
  promote: Type.Union([Type.Literal('auto'), Type.Literal('manual')]),
  /** More failed hosts than this, and no further one is begun. */
  maxFailures: Strict({ batch: Failures, total: Failures }),
  onFailure: OnFailure,
  /** A host that says nothing for so long, in seconds, is given up. */
  progressSeconds: Type.Number({ minimum: 1, maximum: maxSeconds }),
})
export type RolloutPolicy = Static<typeof RolloutPolicy>

/**
 * What a rollout is going to do. It stands in each of its orders, so that whoever may order can finish it
 * from what the hosts journalled.
 */
export const RolloutPlan = Strict({
  id: OpId,
  began: Instant,
  /** Names of hosts in the order in which they are begun; a batch ends before the next one begins. */
  batches: Type.Array(Type.Array(Name, { minItems: 1, maxItems: 1000 }), { minItems: 1, maxItems: 1000 }),
  /** Whether the first batch is one by which the others are judged. */
  canary: Type.Boolean(),
  policy: RolloutPolicy,
})
export type RolloutPlan = Static<typeof RolloutPlan>
