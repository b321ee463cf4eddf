import { DeployError } from '../../shared/errors.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { serviceDefaults } from '../../shared/formats/service-spec.ts'
import { rolloutRule, type RolloutRule } from './rollout-policy.ts'
import type { RolloutConfig } from './rollout-schema.ts'
import type { Config, HostConfig, Hosts } from './schema.ts'
import { fits, type Selector } from './selector.decide.ts'

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
  labels: Readonly<Record<string, string>>
}

/** One environment with everything that applies to it filled in. */
export type Target = {
  hosts: HostTarget[]
  environment: Environment
  isProtected: boolean
  confirmSeconds: number
  rollout: RolloutRule
}

/** What was said on the command line, and hosts that stand elsewhere. */
export type Choice = {
  /** Names of hosts, to leave out the others. */
  only?: readonly string[] | undefined
  on?: Selector | undefined
  rollout?: RolloutConfig | undefined
  inventory?: Hosts | undefined
}

const defaultUser = 'deployctl'

/**
 * The environment to work on; the only one when `name` is left out.
 * @throws DeployError E_ENVIRONMENT_NEEDED, E_ENVIRONMENT_UNKNOWN, E_HOST_UNKNOWN
 */
export function resolveTarget(config: Config, name: string | undefined, choice: Choice = {}): Target {
  const chosen = chooseEnvironment(config, name)
  const found = config.environments[chosen]
  if (!found) throw unknownEnvironment(config, chosen)
  const { only = [], on = [], inventory = {} } = choice
  const all = { ...found.hosts, ...inventory }
  for (const host of only)
    if (!all[host])
      throw new DeployError('E_HOST_UNKNOWN', {
        environment: chosen,
        name: host,
        known: Object.keys(all).join(', ') || 'none yet',
      })
  const hosts = Object.entries(all)
    .filter(([host]) => only.length === 0 || only.includes(host))
    .map(([host, entry]) => hostTarget(host, entry))
    .filter(({ labels }) => fits(on, labels))
  const env = Object.entries(found.env ?? {}).map(([key, value]) => [key, String(value)] as const)
  const { sockets } = found
  return {
    hosts,
    environment: { name: chosen, env: Object.fromEntries(env), ...(sockets && { sockets }) },
    isProtected: found.protected ?? false,
    confirmSeconds:
      found.confirmSeconds ?? config.activation?.confirmSeconds ?? serviceDefaults.confirmSeconds,
    rollout: rolloutRule(config.rollout, found.rollout, choice.rollout),
  }
}

/** @throws DeployError E_ENVIRONMENT_NEEDED, E_ENVIRONMENT_UNKNOWN */
export function chooseEnvironment(config: Config, name: string | undefined): string {
  const known = Object.keys(config.environments)
  const chosen = name ?? (known.length === 1 ? known[0] : undefined)
  if (chosen === undefined) throw new DeployError('E_ENVIRONMENT_NEEDED', { known: known.join(', ') })
  if (!Object.hasOwn(config.environments, chosen)) throw unknownEnvironment(config, chosen)
  return chosen
}

const unknownEnvironment = ({ environments }: Config, name: string) =>
  new DeployError('E_ENVIRONMENT_UNKNOWN', { name, known: Object.keys(environments).join(', ') })

/** @param fallback whose login it is when the address names nobody */
export function hostTarget(name: string, entry: HostConfig, fallback = defaultUser): HostTarget {
  const {
    address,
    transport = 'auto',
    identity = null,
    labels = {},
  } = typeof entry === 'string' ? { address: entry } : entry
  const [, user, host = '', port] = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
  return {
    name,
    user: user ?? fallback,
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? null : Number(port),
    transport,
    identity,
    labels,
  }
}
