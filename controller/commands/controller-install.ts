import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import {
  controllerBase,
  controllerHome,
  controllerUnit,
  controllerUser,
  planController,
} from '../../shared/install/plan-controller.ts'
import { architectures } from '../../shared/install/plan-host.ts'
import { readTemplates } from '../../shared/install/templates.ts'
import type { Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import type { Fleet } from '../identity/fleet.ts'
import type { AdminShell } from '../install/admin-shell.ts'
import { agentPackage } from '../install/agent-package.ts'
import { lookAt } from '../install/remote.ts'
import { administratorAt, openShell, settlePlan } from '../install/set-up.ts'
import type { SessionOptions } from '../push/session.ts'

type Keys = { signing: string; login: string }

/** Makes a server a controller that knows this fleet, and says how to let it in. */
export async function installController(
  address: string,
  fleet: Fleet,
  sessions: SessionOptions,
  parsed: Parsed,
  context: CliContext,
): Promise<void> {
  const { out } = context
  const target = administratorAt(address, address, parsed)
  using shell = await openShell(target, sessions, context)
  const facts = await lookAt(shell, address, [])
  const arch = architectures[facts.arch]
  if (!arch)
    throw new DeployError('E_HOST_UNFIT', { host: address, problems: `its processor is ${facts.arch}` })
  out.note(`making the package for ${arch}`)
  const agent = await agentPackage(arch, context.cacheDir)
  const { steps, problems } = planController(facts, agent.id, readTemplates().controllerUnit)
  const isThere = facts.versions.includes(agent.id)
  await settlePlan(
    { host: address, facts, agent: isThere ? null : agent, steps, problems },
    shell,
    agent.id,
    parsed,
    context,
  )
  if (parsed.flags['dryRun'] === true) return
  const deployctl = (...args: string[]) => asController(shell, address, args, '')
  const roots = JSON.stringify({ roots: fleet.after(0) })
  const [prepared = '{}'] = (
    await asController(shell, address, ['controller', 'prepare', '--json'], roots)
  ).split('\n')
  const keys = JSON.parse(prepared) as Keys
  await must(shell, address, ['systemctl', 'enable', controllerUnit])
  await must(shell, address, ['systemctl', 'restart', controllerUnit])
  const isNew = facts.controller === null
  const token = isNew ? await deployctl('token', 'add', 'admin', '--role', 'admin', '--json') : null
  await tell(address, keys, token === null ? null : (JSON.parse(token) as { secret: string }).secret, context)
}

const environment = [
  `PATH=${controllerBase}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  `HOME=${controllerHome}`,
  `DEPLOYCTL_HOME=${controllerHome}`,
  `DEPLOYCTL_SSH_CONFIG=${controllerHome}/ssh_config`,
]

/** deployctl there, as the controller's own user. */
const asController = (shell: AdminShell, host: string, args: readonly string[], input: string) =>
  must(
    shell,
    host,
    [
      'runuser',
      '-u',
      controllerUser,
      '--',
      'env',
      '-i',
      '-C',
      controllerHome,
      ...environment,
      `${controllerBase}/bin/node`,
      `${controllerBase}/dist/deployctl.js`,
      ...args,
    ],
    input,
  )

async function must(shell: AdminShell, host: string, argv: readonly string[], input = ''): Promise<string> {
  const { status, stdout, stderr } = await shell.run(argv, { input })
  if (status === 0) return stdout
  const why = (stderr || stdout).trim().split('\n').at(-1) ?? `it ended with ${status}`
  throw new DeployError('E_SETUP_STEP', { host, step: argv.join(' '), why })
}

/** Its keys as files, since what lets it in reads files. */
async function tell(address: string, { signing, login }: Keys, token: string | null, context: CliContext) {
  const { out, dataDir } = context
  const dir = join(dataDir, 'controller')
  await mkdir(dir, { recursive: true })
  const files = { signing: join(dir, 'signing.pub'), login: join(dir, 'login.pub') }
  await writeFile(files.signing, `${signing}\n`)
  await writeFile(files.login, `${login}\n`)
  out.event({ type: 'controller', address, signing, login, files, token })
  out.line('the controller runs; its dashboard is only open to itself:')
  out.line(`  deployctl open ${address}`)
  if (token === null) return
  out.line(`  token (shown this once)  ${token}`)
  out.line('Next, let it carry out what people agreed to:')
  out.line(`  deployctl trust add-key controller ${files.signing} --roles schedule --login ${files.login}`)
  out.line('  deployctl trust publish')
  out.line('  DEPLOYCTL_CONTROLLER=http://127.0.0.1:PORT DEPLOYCTL_TOKEN=… deployctl publish')
}
