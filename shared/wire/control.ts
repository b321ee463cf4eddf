import { Digest } from '../formats/names.ts'
import { Strict, Type, parserOf, type Static } from '../schema.ts'

/**
 * What the agent and the library say to each other over an instance's private socket. A connection begins
 * with one line, `DEPLOYCTL/1 ` and a request as JSON. After `connect` it is handed to the server that
 * listens on that socket, as if a client had come; every other request is answered in lines of JSON.
 */
export type ControlRequest =
  | { do: 'status' }
  /** Begin to take traffic; answered when it does. */
  | { do: 'accept' }
  /** The status now and whenever it changes, until the end. */
  | { do: 'watch' }
  | { do: 'connect'; socket: string }

/** What may be asked of a program that can exchange its code; each can be repeated. */
export type SwapRequest =
  /** Load and evaluate these modules, with the sha256 of what is read, in this order; the program does not notice. */
  | { do: 'prepare'; release: string; root: string; evaluate: [string, string][]; forget: string[] }
  /** What was prepared takes over, with the state. */
  | { do: 'commit'; release: string }
  /** There is no way back: dispose of what was before. */
  | { do: 'confirm'; release: string }
  | { do: 'rollback'; release: string }
  /** What was prepared is not wanted. */
  | { do: 'abort' }
  /** The digests of all modules that it runs. */
  | { do: 'modules' }
  /** Collect garbage, so that what the status says of former code is true. */
  | { do: 'collect' }

export const controlLine = (request: ControlRequest | SwapRequest): string =>
  `DEPLOYCTL/1 ${JSON.stringify(request)}\n`

const Count = Type.Integer({ minimum: 0 })
const Path = Type.String({ maxLength: 4096 })
/** Which code a program runs that can exchange it. */
export const HotStatus = Strict({
  release: Type.String({ maxLength: 128 }),
  generation: Count,
  modules: Count,
  /** A swap that nobody has confirmed. */
  unconfirmed: Type.Boolean(),
  boundaries: Type.Array(Strict({ path: Path, version: Type.Number() }), { maxItems: 256 }),
  /** Directories of the releases whose files it may still read. */
  roots: Type.Array(Path, { maxItems: 10_000 }),
  /** Former code that something holds, by its release: how many modules, and some of their names. */
  pinned: Type.Array(
    Strict({
      release: Type.String({ maxLength: 128 }),
      modules: Count,
      paths: Type.Array(Path, { maxItems: 16 }),
    }),
    { maxItems: 10_000 },
  ),
  /** Bytes. */
  heap: Strict({ used: Count, limit: Count }),
})
export type HotStatus = Static<typeof HotStatus>

/** What went wrong in a program's code, and where. */
export const Fault = Strict({
  message: Type.String({ maxLength: 64 * 1024 }),
  module: Type.Union([Path, Type.Null()]),
  line: Type.Union([Count, Type.Null()]),
  stack: Type.Array(Type.String({ maxLength: 16 * 1024 }), { maxItems: 16 }),
})
export type Fault = Static<typeof Fault>

export const SwapAnswer = Type.Union([
  Strict({
    ok: Type.Literal(true),
    ms: Type.Optional(Type.Number({ minimum: 0 })),
    evaluated: Type.Optional(Count),
    /** What a rollback has done with the state. */
    state: Type.Optional(Type.String({ maxLength: 64 })),
    problems: Type.Optional(Type.Array(Fault, { maxItems: 1_000 })),
    modules: Type.Optional(Type.Array(Type.Tuple([Path, Digest]), { maxItems: 20_000 })),
  }),
  Strict({ ok: Type.Literal(false), fault: Fault }),
])
export type SwapAnswer = Static<typeof SwapAnswer>
export const swapAnswerParser = parserOf(SwapAnswer)

export const ControlStatus = Strict({
  /** Sockets whose server is there, by name. */
  ready: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  state: Type.Union([
    Type.Literal('held'),
    Type.Literal('accepting'),
    Type.Literal('draining'),
    Type.Literal('drained'),
  ]),
  /** Being answered now. */
  requests: Count,
  /** WebSockets and event streams. */
  connections: Count,
  /** What was cut off at the end of its time. */
  cut: Strict({ requests: Count, connections: Count }),
  /** Null for a program that cannot exchange its code; absent with an older library. */
  hot: Type.Optional(Type.Union([HotStatus, Type.Null()])),
})
export type ControlStatus = Static<typeof ControlStatus>
export const controlStatusParser = parserOf(ControlStatus)
