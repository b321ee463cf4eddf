import { Environment } from '../../shared/formats/order.ts'
import { Digest, Name, Seconds } from '../../shared/formats/names.ts'
import { SocketSpec } from '../../shared/formats/service-spec.ts'
import { Strict, Type, type Static } from '../../shared/schema.ts'
import type { LogLine } from '../../shared/wire/api.ts'
import type { Address } from '../health/probe.ts'

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
  sockets: Type.Array(SocketSpec, { maxItems: 16 }),
  stop: Strict({ signal: Type.String({ pattern: '^SIG[A-Z0-9]+$' }), seconds: Seconds }),
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
  /** Starts an instance in its slot; what ran there of another release or specification is stopped first. */
  start(spec: InstanceSpec): Promise<void>
  /** Asks an instance to end, then makes it; returns when it has ended. */
  stop(service: string, slot: Slot): Promise<void>
  status(service: string): Promise<ServiceStatus>
  /** The newest lines first to last. */
  tail(service: string, lines: number): Promise<LogLine[]>
  follow(service: string, lines: number, signal: AbortSignal): AsyncIterable<LogLine>
}
