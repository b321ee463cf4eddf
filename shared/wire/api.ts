import { Strict, Type, type Static } from '../schema.ts'
import { HotStatus } from './control.ts'
import { approvalLimits } from '../formats/approval.ts'
import { Frozen } from '../formats/freeze.ts'
import { Environment } from '../formats/order.ts'
import { rootLimits } from '../formats/root.ts'
import { Login } from '../formats/receipt.ts'
import { Challenge, Digest, FleetId, Name, OpId, PublicKey, Signatures } from '../formats/names.ts'

/** Version of the routes below; both sides refuse another one by name (E_API_VERSION). */
export const apiVersion = 6

export const packType = 'application/vnd.deployctl.pack'
export const eventsType = 'application/x-ndjson'

/** GET /v1/hello */
export const Hello = Strict({
  api: Type.Integer({ minimum: 1 }),
  agent: Type.String({ maxLength: 64 }),
  host: Name,
  fleet: FleetId,
  /** The root that it follows. */
  root: Strict({ version: Type.Integer({ minimum: 1 }), digest: Digest }),
  receiptKey: PublicKey,
  now: Type.String({ maxLength: 32 }),
})
export type Hello = Static<typeof Hello>

/** What a host says of one service: all that an order must name. */
export const ServiceState = Strict({
  service: Name,
  seq: Type.Integer({ minimum: 0 }),
  active: Type.Union([Digest, Type.Null()]),
  previous: Type.Union([Digest, Type.Null()]),
  version: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
  environment: Type.Union([Digest, Type.Null()]),
  instances: Type.Array(
    Strict({
      slot: Type.Union([Type.Literal('a'), Type.Literal('b')]),
      release: Digest,
      state: Type.String({ maxLength: 32 }),
      restarts: Type.Integer({ minimum: 0 }),
    }),
    { maxItems: 2 },
  ),
  /** Where its sockets listen, by name: `127.0.0.1:8080` or a path. */
  addresses: Type.Record(Name, Type.String({ maxLength: 300 }), { maxProperties: 64 }),
  /** The deployment that is under way. */
  deploying: Type.Union([Strict({ opId: OpId, state: Type.String({ maxLength: 32 }) }), Type.Null()]),
  challenge: Challenge,
  frozen: Type.Union([Frozen, Type.Null()]),
})
export type ServiceState = Static<typeof ServiceState>

/** GET /v1/services/:service/code: what the running program says of its code, held against the release. */
export const CodeReport = Strict({
  /** Null where the program is none that can exchange its code. */
  code: Type.Union([
    Strict({
      release: Type.String({ maxLength: 128 }),
      /** How many swaps it has had since it was started. */
      generation: Type.Integer({ minimum: 0 }),
      modules: Type.Integer({ minimum: 0 }),
      /** Modules whose code is not the committed release's. */
      differing: Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 20_000 }),
      /** Former releases whose code something still holds. */
      pinned: HotStatus.properties.pinned,
    }),
    Type.Null(),
  ]),
})
export type CodeReport = Static<typeof CodeReport>

const Count = Type.Union([Type.Number({ minimum: 0 }), Type.Null()])

/** GET /v1/services/:service/sample: how the service is at this moment, for comparing hosts. */
export const Sample = Strict({
  active: Type.Union([Digest, Type.Null()]),
  /** Whether its instance runs, and how often that was started again by itself. */
  isRunning: Type.Boolean(),
  restarts: Type.Integer({ minimum: 0 }),
  probes: Type.Array(
    Strict({ ok: Type.Boolean(), ms: Type.Number({ minimum: 0 }), detail: Type.String({ maxLength: 4096 }) }),
    { maxItems: 16 },
  ),
  /** By its own count since it was started; null where it does not say. */
  metrics: Type.Union([
    Strict({
      requests: Count,
      errors: Count,
      /** Upper bounds in seconds (null for infinity) with how many took no longer. */
      latency: Type.Union([
        Type.Array(Type.Tuple([Count, Type.Number({ minimum: 0 })]), { maxItems: 512 }),
        Type.Null(),
      ]),
    }),
    Type.Null(),
  ]),
  /** Why its metrics could not be read. */
  problem: Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]),
})
export type Sample = Static<typeof Sample>

/** GET /v1/facts: what a host is. */
export const HostFacts = Strict({
  agent: Type.String({ maxLength: 64 }),
  os: Type.String({ maxLength: 256 }),
  kernel: Type.String({ maxLength: 256 }),
  arch: Type.String({ maxLength: 32 }),
  uptimeSeconds: Type.Number({ minimum: 0 }),
  cpus: Type.Integer({ minimum: 0 }),
  load: Type.Array(Type.Number(), { maxItems: 3 }),
  memory: Strict({ total: Type.Number(), free: Type.Number() }),
  disk: Strict({ total: Type.Number(), free: Type.Number() }),
  now: Type.String({ maxLength: 32 }),
})
export type HostFacts = Static<typeof HostFacts>

/** POST /v1/freezes: the signed bytes as text. */
export const FreezeRequest = Strict({
  freeze: Type.String({ maxLength: 1024 * 1024 }),
  signatures: Signatures,
})
export type FreezeRequest = Static<typeof FreezeRequest>

/** Answer to POST /v1/services/:service/releases and …/blobs: what still has to be sent. */
export const UploadAnswer = Strict({
  release: Digest,
  missing: Type.Array(Strict({ sha256: Digest, have: Type.Integer({ minimum: 0 }) }), { maxItems: 200_000 }),
  state: ServiceState,
})
export type UploadAnswer = Static<typeof UploadAnswer>

/** An approval's signed bytes as text. */
export const SignedApproval = Strict({
  approval: Type.String({ maxLength: approvalLimits.bytes }),
  signatures: Signatures,
})
export type SignedApproval = Static<typeof SignedApproval>

/** GET /v1/roots?after=N, and what POST /v1/roots takes: the roots that follow, in order. */
export const RootChain = Type.Array(
  Strict({ root: Type.String({ maxLength: rootLimits.bytes }), signatures: Signatures }),
  { maxItems: 1000 },
)
export type RootChain = Static<typeof RootChain>
export const RootsAnswer = Strict({ roots: RootChain })
export type RootsAnswer = Static<typeof RootsAnswer>

/** GET /v1/receipts?after=N: the host's receipts over all services, oldest first. */
export const ReceiptsAnswer = Strict({
  receipts: Type.Array(
    Strict({
      number: Type.Integer({ minimum: 1 }),
      bytes: Type.String({ maxLength: 1024 * 1024 }),
      signature: Type.String({ maxLength: 4096 }),
    }),
    { maxItems: 1000 },
  ),
})
export type ReceiptsAnswer = Static<typeof ReceiptsAnswer>

/** POST /v1/orders: the signed bytes as text, and the environment whose digest they name. */
export const OrderRequest = Strict({
  order: Type.String({ maxLength: 1024 * 1024 }),
  signatures: Signatures,
  environment: Environment,
  /** More signatures of the release, when those that it was brought with no longer suffice. */
  release: Type.Optional(Signatures),
  approvals: Type.Optional(Type.Array(SignedApproval, { maxItems: 8 })),
})
export type OrderRequest = Static<typeof OrderRequest>

/** One line of a deployment's stream. `n` counts from 1, so that a client can ask for what it missed. */
export const DeploymentEvent = Strict({
  n: Type.Integer({ minimum: 1 }),
  at: Type.String({ maxLength: 32 }),
  type: Type.String({ maxLength: 32 }),
  data: Type.Record(Type.String({ maxLength: 64 }), Type.Unknown()),
})
export type DeploymentEvent = Static<typeof DeploymentEvent>

/** One of a host's deployments, with all that proves it; GET /v1/services/:service/history. */
export const HistoryEntry = Strict({
  opId: OpId,
  seq: Type.Integer({ minimum: 1 }),
  action: Type.String({ maxLength: 32 }),
  release: Digest,
  version: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
  state: Type.String({ maxLength: 32 }),
  began: Type.String({ maxLength: 32 }),
  ended: Type.Union([Type.String({ maxLength: 32 }), Type.Null()]),
  who: Type.String({ maxLength: 128 }),
  fingerprint: Type.String({ maxLength: 128 }),
  login: Type.Union([Login, Type.Null()]),
  approvals: Type.Array(SignedApproval, { maxItems: 8 }),
  order: Type.String({ maxLength: 1024 * 1024 }),
  signatures: Signatures,
  receipt: Type.Union([
    Strict({ bytes: Type.String({ maxLength: 1024 * 1024 }), signature: Type.String({ maxLength: 4096 }) }),
    Type.Null(),
  ]),
})
export type HistoryEntry = Static<typeof HistoryEntry>

/** One thing that was looked at; what is not well names its remedy. */
export const Finding = Strict({
  ok: Type.Boolean(),
  what: Type.String({ maxLength: 4096 }),
  remedy: Type.Optional(Type.String({ maxLength: 4096 })),
})
export type Finding = Static<typeof Finding>

/** GET /v1/checkup: what a host finds of itself. */
export const CheckUp = Strict({ findings: Type.Array(Finding, { maxItems: 1000 }) })
export type CheckUp = Static<typeof CheckUp>

export const LogLine = Strict({
  at: Type.String({ maxLength: 32 }),
  slot: Type.Union([Type.Literal('a'), Type.Literal('b')]),
  stream: Type.Union([Type.Literal('out'), Type.Literal('err'), Type.Literal('supervisor')]),
  line: Type.String({ maxLength: 64 * 1024 }),
})
export type LogLine = Static<typeof LogLine>
