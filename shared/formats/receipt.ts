import { Strict, Type, type Static } from '../schema.ts'
import { Digest, FleetId, Instant, Name, OpId } from './names.ts'

export const Strategy = Type.Union([
  Type.Literal('hot'),
  Type.Literal('handover'),
  Type.Literal('restart'),
  Type.Literal('none'),
])
export type Strategy = Static<typeof Strategy>

export const DeploymentResult = Type.Union([
  Type.Literal('committed'),
  Type.Literal('aborted'),
  Type.Literal('rolled-back'),
  Type.Literal('inconsistent'),
])
export type DeploymentResult = Static<typeof DeploymentResult>

/** Time spent in one state, in milliseconds. */
export const StepTime = Strict({ step: Type.String({ maxLength: 32 }), ms: Type.Number({ minimum: 0 }) })

/** Who logged in to bring the order, as the host's SSH server said; who signed it stands in the order. */
export const Login = Strict({
  user: Type.String({ maxLength: 128 }),
  /** Fingerprint of the key; for a certificate, of the key it certifies. */
  key: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
  certificate: Type.Union([
    Strict({ id: Type.String({ maxLength: 256 }), serial: Type.String({ maxLength: 20 }) }),
    Type.Null(),
  ]),
})
export type Login = Static<typeof Login>

/** How the instance before was ended. */
export const Drain = Strict({
  ms: Type.Number({ minimum: 0 }),
  /** Whether its time was over before it ended by itself. */
  killed: Type.Boolean(),
  /** What it cut off, by its own count; null when it does not count. */
  cut: Type.Union([
    Strict({ requests: Type.Integer({ minimum: 0 }), connections: Type.Integer({ minimum: 0 }) }),
    Type.Null(),
  ]),
})
export type Drain = Static<typeof Drain>

/** receipt.json: a host's signed answer to one order, chained to its previous receipt. */
export const Receipt = Strict({
  spec: Type.Literal('deployctl/receipt/v1'),
  fleet: FleetId,
  host: Name,
  /** The host's own count of receipts, from 1, over all services. */
  number: Type.Integer({ minimum: 1, maximum: 2 ** 53 - 1 }),
  opId: OpId,
  order: Digest,
  service: Name,
  release: Digest,
  result: DeploymentResult,
  active: Type.Union([Digest, Type.Null()]),
  strategy: Strategy,
  reasons: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 64 }),
  error: Type.Union([
    Strict({ code: Type.String({ maxLength: 64 }), message: Type.String({ maxLength: 8192 }) }),
    Type.Null(),
  ]),
  began: Instant,
  ended: Instant,
  steps: Type.Array(StepTime, { maxItems: 64 }),
  /** Null when nothing ran before; absent in receipts of agents that did not note it. */
  drain: Type.Optional(Type.Union([Drain, Type.Null()])),
  /** Absent in receipts of agents that did not note it. */
  login: Type.Optional(Type.Union([Login, Type.Null()])),
  previous: Type.Union([Digest, Type.Null()]),
})
export type Receipt = Static<typeof Receipt>
