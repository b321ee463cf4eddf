import { DeployError } from '../../shared/errors.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { serviceDefaults } from '../../shared/formats/service-spec.ts'
import type { Config, HostConfig } from './schema.ts'

/** A host as this side addresses it. */
export type HostTarget = {
  name: string
  /** Empty leaves it to the ssh settings. */
  user: string
  host: string
  /** As written in deploy.yaml; null leaves it to the ssh settings. */
  port: number | null
  transport: 'auto' | 'ssh2' | 'system'
  identity: string | null
}

/** One environment with everything that applies to it filled in. */
export type Target = {
  hosts: HostTarget[]
  environment: Environment
  isProtected: boolean
  confirmSeconds: number
  parallel: number
  onUnreachable: 'fail' | 'skip'
}

const defaultUser = 'deployctl'
const defaultParallel = 8

/**
 * The environment to work on; the only one when `name` is left out.
 * @param only names of hosts, to leave out the others
 * @throws DeployError E_ENVIRONMENT_NEEDED, E_ENVIRONMENT_UNKNOWN, E_HOST_UNKNOWN
 */
export function resolveTarget(
  config: Config,
  name: string | undefined,
  only: readonly string[] = [],
): Target {
  const known = Object.keys(config.environments)
  const chosen = name ?? (known.length === 1 ? known[0] : undefined)
  const found = chosen === undefined ? undefined : config.environments[chosen]
  if (chosen === undefined) throw new DeployError('E_ENVIRONMENT_NEEDED', { known: known.join(', ') })
  if (found === undefined)
    throw new DeployError('E_ENVIRONMENT_UNKNOWN', { name: chosen, known: known.join(', ') })
  for (const host of only)
    if (!found.hosts[host])
      throw new DeployError('E_HOST_UNKNOWN', {
        environment: chosen,
        name: host,
        known: Object.keys(found.hosts).join(', ') || 'none yet',
      })
  const hosts = Object.entries(found.hosts)
    .filter(([host]) => only.length === 0 || only.includes(host))
    .map(([host, entry]) => hostTarget(host, entry))
  const env = Object.entries(found.env ?? {}).map(([key, value]) => [key, String(value)] as const)
  const { sockets } = found
  return {
    hosts,
    environment: { name: chosen, env: Object.fromEntries(env), ...(sockets && { sockets }) },
    isProtected: found.protected ?? false,
    confirmSeconds:
      found.confirmSeconds ?? config.activation?.confirmSeconds ?? serviceDefaults.confirmSeconds,
    parallel: found.rollout?.parallel ?? config.rollout?.parallel ?? defaultParallel,
    onUnreachable: found.rollout?.onUnreachable ?? config.rollout?.onUnreachable ?? 'fail',
  }
}

/** @param fallback whose login it is when the address names nobody */
export function hostTarget(name: string, entry: HostConfig, fallback = defaultUser): HostTarget {
  const {
    address,
    transport = 'auto',
    identity = null,
  } = typeof entry === 'string' ? { address: entry } : entry
  const [, user, host = '', port] = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
  return {
    name,
    user: user ?? fallback,
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? null : Number(port),
    transport,
    identity,
  }
}
