import { Strict, Type, type Static } from '../schema.ts'
import { Digest, FleetId, Instant, Name } from './names.ts'

/**
 * approval.json: this release may run as this service, with this configuration, on these hosts, in this
 * time. It orders nothing by itself; an order brings it along.
 */
export const Approval = Strict({
  spec: Type.Literal('deployctl/approval/v1'),
  fleet: FleetId,
  epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  service: Name,
  release: Digest,
  environment: Strict({ name: Name, digest: Digest }),
  hosts: Type.Array(Name, { minItems: 1, maxItems: 1000, uniqueItems: true }),
  notBefore: Instant,
  expires: Instant,
  reason: Type.String({ maxLength: 1024 }),
})
export type Approval = Static<typeof Approval>

export const approvalLimits = { bytes: 256 * 1024, depth: 8 } as const
