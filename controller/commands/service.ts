import { DeployError } from '../../shared/errors.ts'
import { planServiceRemoval } from '../../shared/install/plan-removal.ts'
import { planService, registrationOf } from '../../shared/install/plan-service.ts'
import { readTemplates } from '../../shared/install/templates.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { environmentFlag, hostFlag, onFlag, hostKeyFlag, openWorkspace } from '../cli/workspace.ts'
import { adminFlags } from '../install/admin-flags.ts'

export const serviceCommand: Command = {
  name: 'service',
  summary: "register this project's service on hosts, once, as root; or take it off",
  args: [{ arg: '<action>', summary: 'what to do', choices: ['add', 'remove'] }],
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    hostKeyFlag,
    ...adminFlags,
    { flag: '--user <name>', summary: 'a user of the host to run it, instead of one of its own' },
  ],
  examples: [
    'deployctl service add --as ada',
    'deployctl service add --dry-run',
    'deployctl service remove --host web2',
  ],
  async run(parsed, context) {
    const [action] = parsed.args
    if (action === 'add') return work(parsed, context, addSteps)
    if (action === 'remove') return work(parsed, context, removeSteps)
    throw new DeployError('E_USAGE', { detail: `service knows add and remove, not "${action}".` })
  },
}

type Facts = Parameters<typeof planService>[0]
type Planned = ReturnType<typeof planService>
type PlanFor = (workspace: Awaited<ReturnType<typeof openWorkspace>>, facts: Facts, parsed: Parsed) => Planned

const addSteps: PlanFor = ({ project: { config }, target }, facts, parsed) => {
  const known = facts.services.find(({ service }) => service === config.service)
  const before = known && !known.user.dynamic ? known.user.name : null
  const user = text(parsed, 'user') ?? before
  const registration = registrationOf(config.service, config.run, target.environment, user)
  return planService(facts, registration, readTemplates())
}

const removeSteps: PlanFor = ({ project: { config } }, facts) => {
  const isThere = facts.services.some(({ service }) => service === config.service)
  return { steps: isThere ? planServiceRemoval(config.service) : [], problems: [] }
}

async function work(parsed: Parsed, context: CliContext, planFor: PlanFor) {
  const { lookAt } = await import('../install/remote.ts')
  const { administrator, openShell, settlePlan } = await import('../install/set-up.ts')
  const workspace = await openWorkspace(parsed, context)
  using _ = workspace.history
  const { target, project, sessions } = workspace
  if (target.hosts.length === 0) throw new DeployError('E_NO_HOSTS', { environment: target.environment.name })
  for (const host of target.hosts) {
    using shell = await openShell(administrator(host, parsed), sessions, context)
    const facts = await lookAt(shell, host.name, [project.config.service])
    const version = facts.current?.replace('versions/', '')
    const missing = {
      what: 'it has no agent',
      remedy: `Make it ready first: deployctl host add ${host.host}`,
    }
    const { steps, problems } = planFor(workspace, facts, parsed)
    const all = version === undefined ? [missing, ...problems] : problems
    const plan = { host: host.name, facts, agent: null, steps, problems: all }
    await settlePlan(plan, shell, version ?? '', parsed, context)
  }
}
