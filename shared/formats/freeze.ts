import { Strict, Type, type Static } from '../schema.ts'
import { Challenge, FleetId, Instant, Name, OpId } from './names.ts'

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
