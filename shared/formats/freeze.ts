import { Strict, Type, type Static } from '../schema.ts'
import { Challenge, FleetId, Instant, Name, OpId } from './names.ts'

/** A time in which nothing is deployed. */
export const FreezePeriod = Strict({
  from: Instant,
  until: Instant,
  reason: Type.String({ maxLength: 128 }),
})
export type FreezePeriod = Static<typeof FreezePeriod>

/** freeze.json: nothing is deployed of a service until an instant; or again, before it. Signed as orders are. */
export const Freeze = Strict({
  spec: Type.Literal('deployctl/freeze/v1'),
  fleet: FleetId,
  epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  root: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  opId: OpId,
  service: Name,
  /** Null lifts it. */
  until: Type.Union([Instant, Type.Null()]),
  /** A calendar instead of one time: it takes the place of the service's former calendar, and of nothing else. */
  periods: Type.Optional(Type.Array(FreezePeriod, { maxItems: 400 })),
  notBefore: Instant,
  expires: Instant,
  reason: Type.String({ maxLength: 1024 }),
  hosts: Type.Array(Strict({ id: Name, challenge: Challenge }), { minItems: 1, maxItems: 1000 }),
})
export type Freeze = Static<typeof Freeze>

/** As a host tells of it. */
export const Frozen = Strict({
  until: Instant,
  who: Type.String({ maxLength: 128 }),
  reason: Type.String({ maxLength: 1024 }),
})
export type Frozen = Static<typeof Frozen>
