import { Strict, Type, type Static } from '../schema.ts'
import { FleetId, Instant, PublicKey } from './names.ts'

export const Role = Type.Union([Type.Literal('root'), Type.Literal('release'), Type.Literal('order')])
export type Role = Static<typeof Role>

const Threshold = Type.Integer({ minimum: 1, maximum: 8 })

/** root.N.json: who may sign what in a fleet, signed by itself. */
export const Root = Strict({
  spec: Type.Literal('deployctl/root/v1'),
  version: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  fleet: FleetId,
  epoch: Type.Integer({ minimum: 1, maximum: 2 ** 53 - 1 }),
  expires: Instant,
  keys: Type.Array(
    Strict({
      owner: Type.String({ minLength: 1, maxLength: 128 }),
      key: PublicKey,
      roles: Type.Array(Role, { minItems: 1, maxItems: 3, uniqueItems: true }),
    }),
    { minItems: 1, maxItems: 64 },
  ),
  thresholds: Strict({ root: Threshold, release: Threshold, order: Threshold }),
})
export type Root = Static<typeof Root>
