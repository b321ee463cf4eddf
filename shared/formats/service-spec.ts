import { Strict, Type, type Static, type TSchema } from '../schema.ts'
import { EnvName, Name, Seconds } from './names.ts'

const Argv = Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]*$' }), {
  minItems: 1,
  maxItems: 64,
})
const Port = Type.Integer({ minimum: 0, maximum: 65_535 })

/** The same schema with a description, which the documentation and editors show. */
export const described = <S extends TSchema>(schema: S, description: string): S => ({
  ...schema,
  description,
})

/** A listening socket that the host owns and passes to the service as fd 3 and up (LISTEN_FDS). */
export const SocketSpec = Strict({
  name: described(Name, 'What probes and LISTEN_FDNAMES call it.'),
  host: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 253,
      description: 'Address to listen on; 0.0.0.0 when left out.',
    }),
  ),
  port: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 65_535, description: 'TCP port; 0 lets the host pick one.' }),
  ),
  path: Type.Optional(
    Type.String({
      pattern: '^/[^\\u0000]+$',
      maxLength: 107,
      description: 'Or a Unix socket, by absolute path, instead of host and port.',
    }),
  ),
})
export type SocketSpec = Static<typeof SocketSpec>

/** Whole numbers, since a unit file is made of them. */
export const LimitSpec = Strict({
  memoryMegabytes: Type.Optional(
    Type.Integer({
      minimum: 16,
      maximum: 16_777_216,
      description: 'Memory; beyond it the service is ended.',
    }),
  ),
  cpuPercent: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: 'Processor time; 100 is one core.' }),
  ),
  tasks: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Processes and threads together.' }),
  ),
  openFiles: Type.Optional(
    Type.Integer({ minimum: 64, maximum: 1_000_000, description: 'Open files and connections (65536).' }),
  ),
})
export type LimitSpec = Static<typeof LimitSpec>

export const RunSpec = Strict({
  argv: described(Argv, "Command line, run in the release's directory; no shell."),
  env: Type.Optional(
    Type.Array(EnvName, {
      maxItems: 256,
      uniqueItems: true,
      description:
        'Names of the environment variables the service needs; their values belong to the environment or the host.',
    }),
  ),
  sockets: Type.Optional(
    Type.Array(SocketSpec, {
      maxItems: 16,
      description:
        'Listening sockets that the host owns and passes as file descriptor 3 and up (LISTEN_FDS).',
    }),
  ),
  stop: Type.Optional(
    Strict(
      {
        signal: Type.Optional(
          Type.Union([Type.Literal('SIGTERM'), Type.Literal('SIGINT'), Type.Literal('SIGQUIT')], {
            description: 'Asks the service to end (SIGTERM).',
          }),
        ),
        seconds: Type.Optional(described(Seconds, 'Time it has until SIGKILL (10).')),
      },
      { description: 'How the service is ended.' },
    ),
  ),
  limits: Type.Optional(
    described(LimitSpec, 'What the service may use of its host; systemd holds it to that.'),
  ),
})
export type RunSpec = Static<typeof RunSpec>

const probeTiming = { timeoutSeconds: Type.Optional(described(Seconds, 'For one try (5).')) }
export const ProbeSpec = Type.Union([
  Strict({
    type: Type.Literal('http'),
    socket: Type.Optional(described(Name, 'Name of one of run.sockets; the first when left out.')),
    url: Type.Optional(
      Type.String({ pattern: '^http://', maxLength: 2048, description: 'Or a URL as the host sees it.' }),
    ),
    path: Type.Optional(Type.String({ pattern: '^/', maxLength: 2048, description: '/ when left out.' })),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }), Type.String({ maxLength: 1024 }), {
        maxProperties: 32,
        description: 'Sent with the request.',
      }),
    ),
    status: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 599, description: 'Accepted status; 200–399 when left out.' }),
    ),
    body: Type.Optional(Type.String({ maxLength: 1024, description: 'Text that the body must contain.' })),
    ...probeTiming,
  }),
  Strict({
    type: Type.Literal('tcp'),
    socket: Type.Optional(described(Name, 'Name of one of run.sockets; the first when left out.')),
    host: Type.Optional(
      Type.String({
        maxLength: 253,
        description: 'Or an address as the host sees it; 127.0.0.1 when left out.',
      }),
    ),
    port: Type.Optional(described(Port, 'Port at that address.')),
    ...probeTiming,
  }),
  Strict({
    type: Type.Literal('command'),
    argv: described(Argv, 'Run as the service would be; good when it ends with 0.'),
    ...probeTiming,
  }),
])
export type ProbeSpec = Static<typeof ProbeSpec>

export const HealthSpec = Strict({
  probes: Type.Optional(
    Type.Array(ProbeSpec, { maxItems: 16, description: 'All must pass; http, tcp or command.' }),
  ),
  intervalSeconds: Type.Optional(described(Seconds, 'Time between two tries of the probes (0.2).')),
  deadlineSeconds: Type.Optional(
    described(Seconds, 'All probes must have passed within this time after the start (30).'),
  ),
  minHealthySeconds: Type.Optional(described(Seconds, 'They must then stay good for this long (1).')),
})
export type HealthSpec = Static<typeof HealthSpec>

export const ActivationSpec = Strict({
  strategy: Type.Optional(
    Type.Union([Type.Literal('auto'), Type.Literal('restart')], {
      description: '`auto` lets the planner choose the gentlest strategy that is safe.',
    }),
  ),
  confirmSeconds: Type.Optional(
    described(
      Seconds,
      'Without a confirm over a fresh connection within this time the host rolls back (30).',
    ),
  ),
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
