import { Strict, Type, type Static } from '../schema.ts'
import { EnvName, Name, Seconds } from './names.ts'

const Argv = Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]*$' }), {
  minItems: 1,
  maxItems: 64,
})
const Port = Type.Integer({ minimum: 0, maximum: 65_535 })

/** A listening socket that the host owns and passes to the service as fd 3 and up (LISTEN_FDS). */
export const SocketSpec = Strict({
  name: Name,
  /** TCP address to listen on; with `port`. Port 0 lets the host pick one, for tests. */
  host: Type.Optional(Type.String({ minLength: 1, maxLength: 253, default: '0.0.0.0' })),
  port: Type.Optional(Port),
  /** Or a Unix socket, by absolute path. */
  path: Type.Optional(Type.String({ pattern: '^/[^\\u0000]+$', maxLength: 107 })),
})
export type SocketSpec = Static<typeof SocketSpec>

export const RunSpec = Strict({
  /** Command line; relative to the release's directory. */
  argv: Argv,
  /** Names of the environment variables the service needs; the values belong to the environment. */
  env: Type.Optional(Type.Array(EnvName, { maxItems: 256, uniqueItems: true })),
  sockets: Type.Optional(Type.Array(SocketSpec, { maxItems: 16 })),
  /** Sent to ask the service to end; SIGKILL follows after `seconds`. */
  stop: Type.Optional(
    Strict({
      signal: Type.Optional(
        Type.Union([Type.Literal('SIGTERM'), Type.Literal('SIGINT'), Type.Literal('SIGQUIT')]),
      ),
      seconds: Type.Optional(Seconds),
    }),
  ),
})
export type RunSpec = Static<typeof RunSpec>

const probeTiming = { timeoutSeconds: Type.Optional(Seconds) }
export const ProbeSpec = Type.Union([
  Strict({
    type: Type.Literal('http'),
    /** Name of one of run.sockets, or an absolute http URL on the host itself. */
    socket: Type.Optional(Name),
    url: Type.Optional(Type.String({ pattern: '^http://', maxLength: 2048 })),
    path: Type.Optional(Type.String({ pattern: '^/', maxLength: 2048 })),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }), Type.String({ maxLength: 1024 }), {
        maxProperties: 32,
      }),
    ),
    /** Accepted status; 200–399 when left out. */
    status: Type.Optional(Type.Integer({ minimum: 100, maximum: 599 })),
    /** Text that the body must contain. */
    body: Type.Optional(Type.String({ maxLength: 1024 })),
    ...probeTiming,
  }),
  Strict({
    type: Type.Literal('tcp'),
    socket: Type.Optional(Name),
    host: Type.Optional(Type.String({ maxLength: 253 })),
    port: Type.Optional(Port),
    ...probeTiming,
  }),
  Strict({ type: Type.Literal('command'), argv: Argv, ...probeTiming }),
])
export type ProbeSpec = Static<typeof ProbeSpec>

export const HealthSpec = Strict({
  probes: Type.Optional(Type.Array(ProbeSpec, { maxItems: 16 })),
  /** How often a probe is tried until it passes, and during the minimum healthy time. */
  intervalSeconds: Type.Optional(Seconds),
  /** All probes must have passed once within this time after the start. */
  deadlineSeconds: Type.Optional(Seconds),
  /** They must then stay good for this long. */
  minHealthySeconds: Type.Optional(Seconds),
})
export type HealthSpec = Static<typeof HealthSpec>

export const ActivationSpec = Strict({
  /** `auto` lets the planner choose the gentlest strategy that is safe. */
  strategy: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('restart')])),
  /** Without a confirm over a fresh connection within this time the host rolls back. */
  confirmSeconds: Type.Optional(Seconds),
})
export type ActivationSpec = Static<typeof ActivationSpec>

/** What applies where a specification is silent. */
export const serviceDefaults = {
  stopSignal: 'SIGTERM',
  stopSeconds: 10,
  probeTimeoutSeconds: 5,
  intervalSeconds: 0.2,
  deadlineSeconds: 30,
  minHealthySeconds: 1,
  confirmSeconds: 30,
} as const
