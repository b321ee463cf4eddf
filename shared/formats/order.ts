import { Strict, Type, type Static } from '../schema.ts'
import { RolloutPlan } from './rollout.ts'
import { RequestedStrategy } from './service-spec.ts'
import { SocketSpec } from './sockets.ts'
import { Challenge, Digest, EnvName, FleetId, Instant, Name, OpId, Seconds } from './names.ts'

/** Runtime configuration of an environment; its digest stands in the order. Never secrets. */
export const Environment = Strict({
  name: Name,
  env: Type.Record(EnvName, Type.String({ maxLength: 32_768 }), { maxProperties: 256 }),
  /** Where this environment's sockets listen instead of where the release says. */
  sockets: Type.Optional(Type.Array(SocketSpec, { maxItems: 16 })),
})
export type Environment = Static<typeof Environment>

export const OrderAction = Type.Union([Type.Literal('deploy'), Type.Literal('rollback')])
export type OrderAction = Static<typeof OrderAction>

export const OrderHost = Strict({
  id: Name,
  seq: Type.Integer({ minimum: 1, maximum: 2 ** 53 - 1 }),
  /** Digest of the release that runs now, by what the host said; null when none does. */
  prev: Type.Union([Digest, Type.Null()]),
  challenge: Challenge,
})
export type OrderHost = Static<typeof OrderHost>

export const Order = Strict({
  spec: Type.Literal('deployctl/order/v1'),
  fleet: FleetId,
  epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  /** Version of the root that its signer knew; a host that has another one refuses. */
  root: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  opId: OpId,
  action: OrderAction,
  service: Name,
  release: Digest,
  environment: Strict({ name: Name, digest: Digest }),
  strategy: RequestedStrategy,
  confirmSeconds: Seconds,
  notBefore: Instant,
  expires: Instant,
  reason: Type.String({ maxLength: 1024 }),
  hosts: Type.Array(OrderHost, { minItems: 1, maxItems: 1000 }),
  /** What it is a part of. A host keeps it, for whoever finishes the rollout if its first driver dies. */
  rollout: Type.Optional(RolloutPlan),
  /** Before anything is switched, the host proves that what it would go back to can start. */
  rehearse: Type.Optional(Type.Literal(true)),
  /** It is to count although the service is frozen. */
  despiteFreeze: Type.Optional(Type.Literal(true)),
})
export type Order = Static<typeof Order>

export const orderLimits = { bytes: 1024 * 1024, depth: 8 } as const
