import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as streamText } from 'node:stream/consumers'
import { DeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { openChain } from '../../shared/trust/root.ts'
import { writeRoot } from '../../shared/trust/roots.ts'
import { RootsAnswer } from '../../shared/wire/api.ts'
import type { Command } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { hostKeyFlag, openHistory, sessionOptions } from '../cli/workspace.ts'
import { chooseKey, hasFleet, makeKey, openFleet } from '../identity/fleet.ts'
import { adminFlags } from '../install/admin-flags.ts'

export const controllerCommand: Command = {
  name: 'controller',
  summary: 'make a server the controller of this fleet: schedules, dashboard, API',
  args: [
    {
      arg: '<action>',
      summary: 'install; prepare is what that runs there',
      choices: ['install', 'prepare'],
    },
    { arg: '[address]', summary: '[user@]host[:port] of an administrator' },
  ],
  flags: [hostKeyFlag, ...adminFlags],
  examples: ['deployctl controller install root@deploy.example.com'],
  async run(parsed, context) {
    const [action, address] = parsed.args
    if (action === 'prepare') return prepare(context)
    if (address === undefined)
      throw new DeployError('E_USAGE', { detail: 'Say where: deployctl controller install [user@]host' })
    const { installController } = await import('./controller-install.ts')
    const fleet = openFleet(context.configDir)
    using history = openHistory(context)
    await installController(address, fleet, sessionOptions(parsed, context, fleet, history), parsed, context)
  },
}

const rootsParser = parserOf(RootsAnswer)

/** On the controller itself: learns the fleet from standard input, makes keys of its own, and prints them. */
async function prepare({ configDir, env, out }: CliContext) {
  const input: unknown = JSON.parse(await streamText(process.stdin))
  if (!rootsParser.check(input))
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'roots', why: 'they do not fit' })
  const chain = openChain(input.roots)
  const newest = chain.at(-1)
  if (!newest) throw new DeployError('E_DOCUMENT_INVALID', { what: 'roots', why: 'there is none' })
  if (hasFleet(configDir)) {
    const known = openFleet(configDir)
    if (known.root.fleet !== newest.root.fleet) throw new DeployError('E_FLEET_EXISTS', { dir: configDir })
    known.adopt(input.roots, new Date().toISOString())
  } else {
    await chooseKey({ configDir })
    for (const root of chain) writeRoot(configDir, root)
  }
  const signing = await chooseKey({ configDir })
  const login = await makeKey(configDir, 'login_key')
  const settings = env['DEPLOYCTL_SSH_CONFIG']
  if (settings !== undefined)
    await writeFile(
      settings,
      `IdentityFile ${login}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile ${join(configDir, 'known_hosts')}\n`,
    )
  const [signs, logsIn] = await Promise.all([signing, login].map((file) => readFile(`${file}.pub`, 'utf8')))
  out.event({ type: 'prepared', signing: signs?.trim(), login: logsIn?.trim() })
  out.line(`signs with      ${signs?.trim()}`)
  out.line(`logs in with    ${logsIn?.trim()}`)
}
