import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Command, Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, hostKeyFlag, openHistory, openWorkspace, targetAt } from '../cli/workspace.ts'
import { editHost } from '../config/edit.ts'
import { loadProject } from '../config/load.ts'
import type { HostTarget } from '../config/target.ts'
import { openFleet } from '../identity/fleet.ts'
import { adminFlags } from '../install/admin-flags.ts'
import { reach } from './host-reach.ts'
import { ownKnownHosts, resolveTransport } from '../transport/connect.ts'
import { forgetHostKey } from '../transport/host-keys.ts'

export const hostCommand: Command = {
  name: 'host',
  summary: 'list, add, upgrade, remove or trust hosts',
  args: [
    { arg: '<action>', summary: 'what to do', choices: ['list', 'add', 'upgrade', 'remove', 'trust'] },
    {
      arg: '[name]',
      summary: 'its name in this fleet; for add: [user@]host[:port], the user an administrator',
    },
  ],
  flags: [
    environmentFlag,
    hostKeyFlag,
    ...adminFlags,
    {
      flag: '--name <name>',
      summary: 'with add: what it is called, instead of the first part of its address',
    },
    {
      flag: '--login-key <files>',
      summary: 'with add: public keys that may log in for pushes, separated by commas',
    },
    {
      flag: '--user <name>',
      summary: 'with add: a user of the host to run the service, instead of one of its own',
    },
    { flag: '--no-service', summary: 'with add: the host only, without the service of this project' },
    {
      flag: '--installed',
      summary: 'with add: an agent answers there already, only reach it and write it down',
    },
    {
      flag: '--uninstall',
      summary: 'with remove: take everything off the host, not only out of deploy.yaml',
    },
    { flag: '--replace', summary: 'with trust: forget the keys known for it first' },
  ],
  examples: [
    'deployctl host add root@web1.example.com',
    'deployctl host add ada@web2.example.com --dry-run',
    'deployctl host upgrade web1 --as ada',
    'deployctl host list',
    'deployctl host trust web1 --host-key SHA256:…',
    'deployctl host remove web1 --uninstall --as ada',
  ],
  async run(parsed, context) {
    const [action, name] = parsed.args
    if (action === 'list') return list(parsed, context)
    if (name === undefined)
      throw new DeployError('E_USAGE', {
        detail: `host ${action} needs ${action === 'add' ? 'an address: user@host' : 'a name'}.`,
      })
    const setup = () => import('./host-setup.ts')
    if (action === 'add') return (await setup()).addHost(parsed, context, name)
    if (action === 'upgrade') return (await setup()).upgradeHost(parsed, context, name)
    if (action === 'remove') return remove(parsed, context, name)
    if (action === 'trust') return trust(parsed, context, name)
    throw new DeployError('E_USAGE', {
      detail: `host knows list, add, upgrade, remove and trust, not "${action}".`,
    })
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
      ? 'No hosts yet: deployctl host add USER@HOST'
      : table(['host', 'address', 'transport', 'receipt key'], rows),
  )
}

async function remove(parsed: Parsed, context: CliContext, name: string) {
  const project = await loadProject(context.cwd)
  const { environment, hosts } = await targetAt(project, parsed, name, context)
  const isUninstalling = parsed.flags['uninstall'] === true
  const [target] = hosts
  if (isUninstalling && target) {
    const { uninstallHost } = await import('./host-setup.ts')
    if (!(await uninstallHost(parsed, context, target))) return
    await forget(target, context)
  }
  await editHost(project.file, environment.name, name, null)
  const rest = isUninstalling ? '' : '; what it runs goes on running (--uninstall takes it off the host)'
  context.out.line(`removed ${name} from ${environment.name}${rest}`)
}

async function trust(parsed: Parsed, context: CliContext, name: string) {
  const project = await loadProject(context.cwd)
  const [target] = (await targetAt(project, parsed, name, context)).hosts
  if (!target) throw new DeployError('E_USAGE', { detail: `There is no host ${name}.` })
  if (parsed.flags['replace'] === true) await forget(target, context)
  await reach(target, parsed, context)
}

async function forget(target: HostTarget, context: CliContext) {
  const { settings } = await resolveTransport(target, context)
  await forgetHostKey(ownKnownHosts(context.configDir), settings.host, settings.port)
  const fleet = openFleet(context.configDir)
  using history = openHistory(context)
  history.unpinHost(fleet.root.fleet, target.name)
}
