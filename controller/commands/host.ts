import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, hostKeyFlag, openHistory, openWorkspace, sessionOptions } from '../cli/workspace.ts'
import { editHost } from '../config/edit.ts'
import { loadProject } from '../config/load.ts'
import { hostTarget, resolveTarget, type HostTarget } from '../config/target.ts'
import { openFleet } from '../identity/fleet.ts'
import { openSession } from '../push/session.ts'
import { ownKnownHosts, resolveTransport } from '../transport/connect.ts'
import { forgetHostKey } from '../transport/host-keys.ts'

export const hostCommand: Command = {
  name: 'host',
  summary: 'list, add, remove or trust hosts',
  args: [
    { arg: '<action>', summary: 'what to do', choices: ['list', 'add', 'remove', 'trust'] },
    { arg: '[name]', summary: 'its name in this fleet' },
    { arg: '[address]', summary: '[user@]host[:port], for add' },
  ],
  flags: [
    environmentFlag,
    hostKeyFlag,
    { flag: '--replace', summary: 'with trust: forget the keys known for it first' },
  ],
  examples: [
    'deployctl host list',
    'deployctl host add web1 web1.example.com',
    'deployctl host trust web1 --host-key SHA256:…',
    'deployctl host remove web1',
  ],
  async run(parsed, context) {
    const [action, name, address] = parsed.args
    if (action === 'list') return list(parsed, context)
    if (name === undefined) throw new DeployError('E_USAGE', { detail: `host ${action} needs a name.` })
    if (action === 'add') return add(parsed, context, name, address)
    if (action === 'remove') return remove(parsed, context, name)
    if (action === 'trust') return trust(parsed, context, name)
    throw new DeployError('E_USAGE', { detail: `host knows list, add, remove and trust, not "${action}".` })
  },
}

async function list(parsed: Parsed, context: CliContext) {
  const workspace = await openWorkspace(parsed, context)
  using history = workspace.history
  const { fleet, target } = workspace
  const rows = target.hosts.map(({ name, user, host, port, transport }) => {
    const pinned = history.pinnedKey(fleet.root.fleet, name)
    const receiptKey = pinned === null ? null : fingerprintOf(publicKeyBlob(pinned))
    context.out.event({ type: 'host', name, user, host, port, transport, receiptKey })
    return [
      name,
      `${user}@${host}${port === null ? '' : `:${port}`}`,
      transport,
      receiptKey ?? 'never reached',
    ]
  })
  context.out.line(
    rows.length === 0
      ? 'No hosts yet: deployctl host add NAME ADDRESS'
      : table(['host', 'address', 'transport', 'receipt key'], rows),
  )
}

/** Reached first, written down then: a host in deploy.yaml is one that answered. */
async function add(parsed: Parsed, context: CliContext, name: string, address: string | undefined) {
  if (address === undefined)
    throw new DeployError('E_USAGE', { detail: 'host add needs a name and an address.' })
  const project = await loadProject(context.cwd)
  const { environment } = resolveTarget(project.config, text(parsed, 'env'))
  await reach(hostTarget(name, address), parsed, context)
  await editHost(project.file, environment.name, name, address)
  context.out.line(`added ${name} to ${environment.name}`)
}

async function remove(parsed: Parsed, context: CliContext, name: string) {
  const project = await loadProject(context.cwd)
  const { environment } = resolveTarget(project.config, text(parsed, 'env'), [name])
  await editHost(project.file, environment.name, name, null)
  context.out.line(`removed ${name} from ${environment.name}; what it runs goes on running`)
}

async function trust(parsed: Parsed, context: CliContext, name: string) {
  const project = await loadProject(context.cwd)
  const [target] = resolveTarget(project.config, text(parsed, 'env'), [name]).hosts
  if (!target) throw new DeployError('E_USAGE', { detail: `There is no host ${name}.` })
  if (parsed.flags['replace'] === true) await forget(target, context)
  await reach(target, parsed, context)
}

async function forget(target: HostTarget, context: CliContext) {
  const { settings } = await resolveTransport(target, context)
  await forgetHostKey(ownKnownHosts(context.configDir), settings.host, settings.port)
  const fleet = await openFleet(context.configDir)
  using history = openHistory(context)
  history.unpinHost(fleet.root.fleet, target.name)
}

async function reach(target: HostTarget, parsed: Parsed, context: CliContext) {
  const fleet = await openFleet(context.configDir)
  using history = openHistory(context)
  const { client, hello } = await openSession(target, sessionOptions(parsed, context, fleet, history))
  client.close()
  const fingerprint = fingerprintOf(publicKeyBlob(hello.receiptKey))
  context.out.line(`${target.name} answers: agent ${hello.agent}, receipt key ${fingerprint}`)
  context.out.event({ type: 'reached', host: target.name, agent: hello.agent, receiptKey: fingerprint })
}
