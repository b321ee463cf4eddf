import { isIP } from 'node:net'
import { DeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { Name } from '../../shared/formats/names.ts'
import type { HostFacts } from '../../shared/install/facts.ts'
import { architectures, planHost } from '../../shared/install/plan-host.ts'
import { planRemoval } from '../../shared/install/plan-removal.ts'
import { planService, registrationOf } from '../../shared/install/plan-service.ts'
import { readTemplates } from '../../shared/install/templates.ts'
import type { Step } from '../../shared/install/steps.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { openHistory, sessionOptions, targetAt } from '../cli/workspace.ts'
import { editHost } from '../config/edit.ts'
import { loadProject } from '../config/load.ts'
import { hostTarget, resolveTarget, type HostTarget } from '../config/target.ts'
import { openFleet } from '../identity/fleet.ts'
import type { AdminShell } from '../install/admin-shell.ts'
import { agentPackage, type AgentPackage } from '../install/agent-package.ts'
import { loginKeys } from '../install/login-keys.ts'
import { acceptVersion, carryOut, lookAt } from '../install/remote.ts'
import { administrator, administratorAt, openShell, settlePlan } from '../install/set-up.ts'
import { reach } from './host-reach.ts'
import { checkHost } from './doctor.ts'

const nameParser = parserOf(Name)

/** `host add [user@]host`: makes a server ready, and puts it into deploy.yaml. */
export async function addHost(parsed: Parsed, context: CliContext, address: string): Promise<void> {
  const project = await loadProject(context.cwd).catch((error: unknown) => {
    // A host can be made ready before there is a project.
    if (error instanceof DeployError && error.code === 'E_CONFIG_MISSING') return null
    throw error
  })
  const target = project && resolveTarget(project.config, text(parsed, 'env'))
  const given = text(parsed, 'name') ?? nameOf(address)
  const where = address.slice(address.lastIndexOf('@') + 1)
  if (parsed.flags['installed'] === true) {
    const name = given ?? ''
    checkName(name, address)
    await reach(hostTarget(name, address), parsed, context)
    if (project && target) await write(project.file, target.environment.name, name, address, context)
    return
  }
  const service = parsed.flags['service'] === false ? undefined : project?.config.service
  using setting = await openSetting(
    administratorAt(given ?? address, address, parsed),
    parsed,
    context,
    service,
  )
  const name = given ?? setting.facts.name ?? setting.facts.host.split('.')[0] ?? ''
  checkName(name, address)
  const registration =
    project && target && service !== undefined
      ? registrationOf(
          service,
          project.config.run,
          target.environment,
          text(parsed, 'user') ?? userOf(setting.facts, service),
        )
      : null
  const done = await bring(setting, hostTarget(name, where), parsed, context, registration)
  if (done && project && target) await write(project.file, target.environment.name, name, where, context)
}

/** `host upgrade NAME`: this version of the agent, and what it wants of the host. */
export async function upgradeHost(parsed: Parsed, context: CliContext, name: string): Promise<void> {
  const project = await loadProject(context.cwd)
  const [target] = (await targetAt(project, parsed, name, context)).hosts
  if (!target) throw new DeployError('E_USAGE', { detail: `There is no host ${name}.` })
  using setting = await openSetting(administrator(target, parsed), parsed, context, project.config.service)
  await bring(setting, target, parsed, context, null)
}

/** `host remove NAME --uninstall`: takes all of ours off the host. */
export async function uninstallHost(
  parsed: Parsed,
  context: CliContext,
  target: HostTarget,
): Promise<boolean> {
  using setting = await openSetting(administrator(target, parsed), parsed, context, undefined, false)
  const { shell, facts } = setting
  const { steps, left } = planRemoval(facts)
  const [version] = facts.versions
  if (version === undefined) {
    context.out.line(`${target.name}: there is no agent to remove`)
    return true
  }
  const isController = facts.controller !== null
  const problem = {
    what: 'it is a controller as well, which would go with it',
    remedy:
      'Install a controller elsewhere, then here: systemctl disable --now deploy-controller && rm /usr/lib/deployctl/controller',
  }
  const plan = { host: target.name, facts, agent: null, steps, problems: isController ? [problem] : [] }
  const done = await settlePlan(plan, shell, version, parsed, context)
  for (const line of left) context.out.line(`  left: ${line}`)
  return done
}

/** What is open while a host is set up. */
type Setting = Disposable & { shell: AdminShell; facts: HostFacts; agent: AgentPackage | null }

async function openSetting(
  target: HostTarget,
  parsed: Parsed,
  context: CliContext,
  service: string | undefined,
  needsAgent = true,
): Promise<Setting> {
  const fleet = openFleet(context.configDir)
  using history = openHistory(context)
  const shell = await openShell(target, sessionOptions(parsed, context, fleet, history), context)
  try {
    const first = await lookAt(shell, target.name, service === undefined ? [] : [service])
    // Services that are there already are looked at as well: their units may have to change.
    const others = first.services.map((one) => one.service).filter((name) => name !== service)
    const facts =
      others.length === 0 ? first : await lookAt(shell, target.name, [...others, service ?? others[0] ?? ''])
    const arch = architectures[facts.arch]
    if (arch && needsAgent) context.out.note(`making the agent for ${arch}`)
    const agent = arch && needsAgent ? await agentPackage(arch, context.cacheDir) : null
    return { shell, facts, agent, [Symbol.dispose]: () => shell[Symbol.dispose]() }
  } catch (error) {
    shell[Symbol.dispose]()
    throw error
  }
}

/** Plans, asks, does, and proves over a new connection that the host answers. */
async function bring(
  { shell, facts, agent }: Setting,
  target: HostTarget,
  parsed: Parsed,
  context: CliContext,
  registration: ReturnType<typeof registrationOf> | null,
): Promise<boolean> {
  const { name } = target
  const fleet = openFleet(context.configDir)
  using history = openHistory(context)
  const sessions = sessionOptions(parsed, context, fleet, history)
  const named = text(parsed, 'loginKey')?.split(',') ?? []
  const isNew = facts.keys.length === 0 || named.length > 0 || registration !== null
  const keys = isNew ? await loginKeys(named, target, sessions, facts.logins) : []
  const templates = readTemplates()
  const version = agent?.id ?? 'none'
  const trust = { name, fleet: fleet.root.fleet, roots: fleet.after(0) }
  const host = planHost(facts, { version, templates, trust, loginKeys: keys })
  const known = facts.services.filter(({ service }) => service !== registration?.service)
  const services = [...known, ...(registration ? [registration] : [])].map((one) =>
    planService(facts, one, templates),
  )
  const plan = {
    host: name,
    facts,
    agent: facts.versions.includes(version) ? null : agent,
    steps: [...host.steps, ...services.flatMap(({ steps }) => steps)],
    problems: [...host.problems, ...services.flatMap(({ problems }) => problems)],
  }
  await settlePlan(plan, shell, version, parsed, context)
  if (parsed.flags['dryRun'] === true) return false
  await reach(target, parsed, context)
  // It was reached anew and answered: this version has proved itself, and older ones can go.
  await acceptVersion(shell, name, version)
  const used = [facts.current, facts.controller, `versions/${version}`]
  const stale = facts.versions.filter((id) => !used.includes(`versions/${id}`))
  const remove = stale.map((id): Step => ({ do: 'remove', path: `/usr/lib/deployctl/versions/${id}` }))
  if (remove.length > 0) await carryOut(shell, name, version, remove, () => {})
  await checkHost(target, sessions, context)
  return true
}

async function write(file: string, environment: string, name: string, address: string, context: CliContext) {
  await editHost(file, environment, name, address)
  context.out.line(`added ${name} to ${environment} in deploy.yaml`)
}

/** The first part of a name; null for an address, which is no name for a machine. */
function nameOf(address: string): string | null {
  const { host } = hostTarget('x', address)
  return isIP(host) === 0 ? (host.split('.')[0]?.toLowerCase() ?? null) : null
}

function checkName(name: string, address: string) {
  if (!nameParser.check(name))
    throw new DeployError('E_USAGE', {
      detail: `${address} gives no good name for a host; give one: --name web1.`,
    })
}

const userOf = (facts: HostFacts, service: string): string | null => {
  const user = facts.services.find((one) => one.service === service)?.user
  return user && !user.dynamic ? user.name : null
}
