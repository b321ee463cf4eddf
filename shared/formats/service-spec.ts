import { Strict, Type, described, type Static } from '../schema.ts'
import { SocketSpec } from './sockets.ts'
import { EnvName, Name, Seconds } from './names.ts'

const Argv = Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]*$' }), {
  minItems: 1,
  maxItems: 64,
})
const Port = Type.Integer({ minimum: 0, maximum: 65_535 })

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
        seconds: Type.Optional(
          described(Seconds, 'Time it has to finish what it was asked, until SIGKILL (10).'),
        ),
        longConnections: Type.Optional(
          Type.Union([Type.Literal('wait'), Type.Literal('close')], {
            description:
              'WebSockets and event streams of a service with the library: `wait` lets them end by themselves until the time is over, `close` tells them to come back at once (wait).',
          }),
        ),
      },
      { description: 'How the service is ended, after a handover as well: it drains.' },
    ),
  ),
  adopt: Type.Optional(
    Type.Boolean({
      description:
        'For Node programs that know nothing of us: the library is loaded before them, and `listen(port)` takes the socket of that port.',
    }),
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

const Metric = (what: string) =>
  Type.Optional(
    Strict(
      {
        name: Type.String({
          pattern: '^[A-Za-z_:][A-Za-z0-9_:]*$',
          maxLength: 256,
          description: 'Its name.',
        }),
        labels: Type.Optional(
          Type.Record(
            Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }),
            Type.String({ maxLength: 256 }),
            {
              maxProperties: 16,
              description: 'Only series with these labels; a value may end with a star: `code: 5*`.',
            },
          ),
        ),
      },
      { description: what },
    ),
  )

/** What a service counts of itself, as Prometheus reads it. */
export const MetricsSpec = Strict({
  socket: Type.Optional(described(Name, 'Name of one of run.sockets; the first when left out.')),
  path: Type.Optional(
    Type.String({ pattern: '^/', maxLength: 2048, description: '/metrics when left out.' }),
  ),
  requests: Metric('A counter of all requests.'),
  errors: Metric('A counter of those that failed.'),
  latency: Metric('A histogram of how long they took, in seconds.'),
})
export type MetricsSpec = Static<typeof MetricsSpec>

export const HealthSpec = Strict({
  probes: Type.Optional(
    Type.Array(ProbeSpec, { maxItems: 16, description: 'All must pass; http, tcp or command.' }),
  ),
  metrics: Type.Optional(
    described(MetricsSpec, 'By which a canary is compared with the other hosts, besides its probes.'),
  ),
  intervalSeconds: Type.Optional(described(Seconds, 'Time between two tries of the probes (0.2).')),
  deadlineSeconds: Type.Optional(
    described(
      Seconds,
      'All probes must have passed within this time after the start (30; after a hot swap at most 1).',
    ),
  ),
  minHealthySeconds: Type.Optional(
    described(Seconds, 'They must then stay good for this long (1; after a hot swap 0.2).'),
  ),
})
export type HealthSpec = Static<typeof HealthSpec>

/** What may be asked for; `hot` and `handover` mean that or nothing. */
export const RequestedStrategy = Type.Union([
  Type.Literal('auto'),
  Type.Literal('hot'),
  Type.Literal('handover'),
  Type.Literal('restart'),
])
export type RequestedStrategy = Static<typeof RequestedStrategy>

export const ActivationSpec = Strict({
  strategy: Type.Optional(
    described(
      RequestedStrategy,
      '`auto` takes the gentlest strategy that is safe; `hot` and `handover` mean that one or none.',
    ),
  ),
  static: Type.Optional(
    Type.Array(
      Type.String({ minLength: 1, maxLength: 1024, pattern: '^[^/\\u0000-\\u001f][^\\u0000-\\u001f]*$' }),
      {
        maxItems: 256,
        description:
          'Files, and directories with a / at their end, that the program reads anew whenever it needs them: when only these change, a hot swap is safe.',
      },
    ),
  ),
  overlap: Type.Optional(
    Type.Boolean({
      description:
        'Whether two releases may run side by side for a moment. Left out: yes for a service with sockets, no for a worker without.',
    }),
  ),
  exclusive: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 128, pattern: '^[^\\u0000-\\u001f]+$' }), {
      maxItems: 16,
      description:
        'What only one instance at a time can use, in your words: a SQLite file, a lock, a port of its own. The service is restarted then.',
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
  longConnections: 'wait',
  probeTimeoutSeconds: 5,
  intervalSeconds: 0.2,
  deadlineSeconds: 30,
  minHealthySeconds: 1,
  hotMinHealthySeconds: 0.2,
  hotDeadlineSeconds: 1,
  confirmSeconds: 30,
} as const

/** Where the library lies in a release that is adopted. */
export const libraryDirectory = '.deployctl/service'
