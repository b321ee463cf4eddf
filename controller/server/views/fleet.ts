import type { HostState } from '../../history/host-states.ts'
import type { History } from '../../history/history.ts'
import type { Project } from '../../config/load.ts'

/** How a host is, in a word. `unknown`: it was not asked yet. */
export type HostHealth = 'running' | 'deploying' | 'down' | 'empty' | 'unreachable' | 'unknown'

export type HostView = {
  name: string
  labels: Readonly<Record<string, string>>
  health: HostHealth
  version: string | null
  release: string | null
  /** Whether it runs another release than the newest rollout brought. */
  hasDrifted: boolean
  restarts: number
  agent: string | null
  frozenUntil: string | null
  addresses: Readonly<Record<string, string>>
  /** When it was asked last. */
  at: string | null
  problem: string | null
}

export type EnvironmentView = {
  service: string
  environment: string
  /** What the newest rollout that came to anything brought. */
  release: string | null
  version: string | null
  hosts: HostView[]
}

type Listed = { name: string; labels: Readonly<Record<string, string>> }

/** What runs where, by what hosts said last. */
export function fleetView(history: History, projects: readonly Project[]): EnvironmentView[] {
  const states = new Map(history.hostStates.all().map((one) => [keyOf(one), one]))
  return projects.flatMap(({ config }) =>
    Object.entries(config.environments).map(([environment, { hosts }]) => {
      const { service } = config
      const newest = history.rollouts
        .list(service, environment, 50)
        .find(({ state }) => state === 'done' || state === 'partial')
      const written = Object.entries(hosts).map(([name, entry]): Listed => {
        const labels = typeof entry === 'string' ? {} : (entry.labels ?? {})
        return { name, labels }
      })
      const own = [...states.values()].filter(
        (one) => one.service === service && one.environment === environment,
      )
      // Hosts of an inventory are known once they were asked.
      const others = own.filter(({ host }) => !hosts[host]).map(({ host }) => ({ name: host, labels: {} }))
      const release = newest?.release ?? null
      return {
        service,
        environment,
        release,
        version: newest?.version ?? null,
        hosts: [...written, ...others].map((host) =>
          hostView(host, states.get(keyOf({ service, environment, host: host.name })), release),
        ),
      }
    }),
  )
}

const keyOf = ({ service, environment, host }: Pick<HostState, 'service' | 'environment' | 'host'>) =>
  `${service} ${environment} ${host}`

function hostView({ name, labels }: Listed, known: HostState | undefined, expected: string | null): HostView {
  const { state = null, error = null, agent = null, at = null } = known ?? {}
  const release = state?.active ?? null
  return {
    name,
    labels,
    health: healthOf(known),
    version: state?.version ?? null,
    release,
    hasDrifted: expected !== null && state !== null && release !== expected,
    restarts: Math.max(0, ...(state?.instances ?? []).map(({ restarts }) => restarts)),
    agent,
    frozenUntil: state?.frozen?.until ?? null,
    addresses: state?.addresses ?? {},
    at,
    problem: error && `${error.code} ${error.message}`,
  }
}

function healthOf(known: HostState | undefined): HostHealth {
  if (!known) return 'unknown'
  if (known.error) return 'unreachable'
  const { state } = known
  if (!state) return 'unknown'
  if (state.deploying) return 'deploying'
  if (state.active === null) return 'empty'
  return state.instances.some(({ state: at }) => at === 'running') ? 'running' : 'down'
}
