import { readInventory } from '../config/inventory.ts'
import type { Project } from '../config/load.ts'
import type { RolloutConfig } from '../config/rollout-schema.ts'
import { parseSelector } from '../config/selector.decide.ts'
import { resolveTarget, type Target } from '../config/target.ts'
import type { History } from '../history/history.ts'
import { openFleet, openSigner, type Fleet } from '../identity/fleet.ts'
import type { SessionOptions } from '../push/session.ts'
import { Around } from '../rollout/around.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import type { Projects } from './projects.ts'

/** What a controller has: its directories, its record, the projects it looks after. */
export type Site = {
  configDir: string
  cacheDir: string
  dataDir: string
  env: NodeJS.ProcessEnv
  history: History
  projects: Projects
  /** A line for whoever reads its log. */
  say: (text: string) => void
  /** Where people see the dashboard; null where nobody said. */
  url: string | null
}

/** One environment of a service, with what it takes to reach its hosts. */
export type Place = {
  project: Project
  target: Target
  fleet: Fleet
  history: History
  sessions: SessionOptions
}

/** @throws DeployError E_SERVICE_UNKNOWN, E_NO_FLEET, E_INVENTORY, and as resolveTarget */
export async function placeOf(
  site: Site,
  service: string,
  environment: string,
  choice: { on?: string | undefined; only?: readonly string[]; rollout?: RolloutConfig | undefined } = {},
): Promise<Place> {
  const { configDir, env, history, projects } = site
  const project = await projects.get(service)
  const { on, only, rollout } = choice
  const target = resolveTarget(project.config, environment, {
    only,
    on: on === undefined ? [] : parseSelector(on),
    rollout,
    inventory: await readInventory(project, environment, env),
  })
  // Read anew each time: somebody may have brought a newer root.
  const fleet = openFleet(configDir)
  const onNewRoot: SessionOptions['onNewRoot'] = (host, _, { version }) =>
    site.say(`root ${version} counts from now on, as ${host} knew it`)
  const sessions = { configDir, env, asking: {}, fleet, history, onNewRoot }
  return { project, target, fleet, history, sessions }
}

/** The controller's own key. @throws DeployError as openSigner */
export const signerOf = ({ configDir, env }: Site): Promise<Signer> =>
  openSigner({ configDir, key: env['DEPLOYCTL_KEY'], agentSocket: env['SSH_AUTH_SOCK'] })

export const linkOf = ({ url }: Site, id: string): string | null =>
  url === null ? null : `${url}/rollouts/${id}`

/** Hooks and notices, told in the log. */
export const aroundAt = (site: Site, project: Project): Around =>
  new Around({
    project,
    history: site.history,
    env: site.env,
    onLine: (command, line) => site.say(`${command}: ${line}`),
    onProblem: site.say,
    linkOf: (id) => linkOf(site, id),
  })
