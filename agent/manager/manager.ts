import { Environment } from '../../shared/formats/order.ts'
import { Digest, EnvName, Name, Seconds } from '../../shared/formats/names.ts'
import { LimitSpec } from '../../shared/formats/service-spec.ts'
import { SocketSpec } from '../../shared/formats/sockets.ts'
import { Strict, Type, type Static } from '../../shared/schema.ts'
import type { Finding, LogLine } from '../../shared/wire/api.ts'

/** Where a service's socket is bound: a TCP address or a Unix path. */
export type Address = { host: string; port: number } | { path: string }

export const Slot = Type.Union([Type.Literal('a'), Type.Literal('b')])
export type Slot = Static<typeof Slot>

/** One running copy of a service: all that is needed to start it again at any time. */
export const InstanceSpec = Strict({
  service: Name,
  slot: Slot,
  release: Digest,
  argv: Type.Array(Type.String({ maxLength: 4096 }), { minItems: 1, maxItems: 64 }),
  cwd: Type.String({ maxLength: 4096 }),
  env: Environment.properties.env,
  /** Names of environment variables it cannot do without; whoever runs it may know their values. */
  needs: Type.Array(EnvName, { maxItems: 256 }),
  sockets: Type.Array(SocketSpec, { maxItems: 16 }),
  stop: Strict({
    signal: Type.String({ pattern: '^SIG[A-Z0-9]+$' }),
    seconds: Seconds,
    /** Absent in what older agents have saved. */
    longConnections: Type.Optional(Type.Union([Type.Literal('wait'), Type.Literal('close')])),
  }),
  limits: LimitSpec,
})
export type InstanceSpec = Static<typeof InstanceSpec>

/** `backoff`: it ended by itself and will be started again. */
export type InstanceStatus = {
  slot: Slot
  release: string
  state: 'running' | 'backoff' | 'stopping'
  pid: number | null
  /** How often it was started again since it was asked for. */
  restarts: number
  /** How it last ended: `exit 1`, `SIGSEGV`; null while it never did. */
  lastEnd: string | null
  /** Milliseconds since it was last started. */
  upMs: number
}

/** Whether its time was over before it ended by itself. */
export type Stopped = { killed: boolean }

/** `status` is '0' when all went well, else the exit status or the signal; `output` its last characters. */
export type CommandResult = { status: string; output: string }

export type ServiceStatus = {
  instances: InstanceStatus[]
  /** By the socket's name; a port of 0 is the one that was picked. */
  addresses: Record<string, Address>
}

/**
 * Who runs the services: systemd, or our own supervisor. Each call can be repeated: after a crash
 * nobody knows whether the last one went through.
 */
export type ServiceManager = {
  /**
   * Whether this host takes the service at all; asked before anything is sent.
   * @throws DeployError E_SERVICE_UNREGISTERED
   */
  admit(service: string): void
  /** What can be known before anything is switched. @throws DeployError E_CHECK_FAILED, E_SERVICE_REGISTRATION */
  check(spec: InstanceSpec): void
  /**
   * Starts an instance in its slot; what ran there of another release or specification is stopped first.
   * @param isHeld it is to take no traffic before it is let; also when it is started again by itself
   */
  start(spec: InstanceSpec, isHeld?: boolean): Promise<void>
  /** What runs in that slot goes on, and is of this release now; what is started there later is this. */
  retarget(spec: InstanceSpec): Promise<void>
  /** An instance that was held is that no longer, also when it is started again. */
  letTakeTraffic(service: string, slot: Slot): Promise<void>
  /** Asks an instance to end, then makes it; returns when it has ended. */
  stop(service: string, slot: Slot): Promise<Stopped>
  /** Path of the socket that this instance has for the agent alone. */
  privateSocket(service: string, slot: Slot): string
  status(service: string): Promise<ServiceStatus>
  /** Which slot comes up after a reboot, agent or no agent; null for none. */
  settle(service: string, slot: Slot | null): Promise<void>
  /** Runs a program once, as the service would be run; when the signal comes it ends, with all that it started. */
  runCommand(
    spec: InstanceSpec,
    argv: readonly string[],
    signal: AbortSignal,
    onLine?: (line: string) => void,
  ): Promise<CommandResult>
  /** What is not as it was set up; `services` are those that have something committed. */
  checkUp(services: readonly string[]): Promise<Finding[]>
  /** The newest lines first to last. */
  tail(service: string, lines: number): Promise<LogLine[]>
  follow(service: string, lines: number, signal: AbortSignal): AsyncIterable<LogLine>
}
