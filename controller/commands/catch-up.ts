import { existsSync } from 'node:fs'
import { DeployError } from '../../shared/errors.ts'
import type { Command } from '../cli/command.ts'
import { environmentFlag, hostKeyFlag, keyFlag, openWorkspace, type Workspace } from '../cli/workspace.ts'
import { keptRelease } from '../release/shelf.ts'
import { leftBehind } from '../rollout/left-behind.ts'
import { pushCommand } from './push.ts'

export const catchUpCommand: Command = {
  name: 'catch-up',
  summary: 'bring hosts that were away to the release that the others got',
  flags: [
    environmentFlag,
    { flag: '-y, --yes', summary: 'do not ask on a protected environment' },
    keyFlag,
    hostKeyFlag,
  ],
  examples: ['deployctl catch-up', 'deployctl catch-up -e production'],
  async run(parsed, context) {
    const { release, version, hosts } = due(await openWorkspace(parsed, context))
    if (hosts.length === 0) return context.out.line('No host was left out of the newest rollout.')
    const dir = keptRelease(context.dataDir, release)
    if (!existsSync(dir)) throw new DeployError('E_CATCH_UP', { version, dir })
    const flags = {
      ...parsed.flags,
      from: dir,
      host: hosts.join(','),
      reason: `catching up to ${version}`,
      strategy: 'auto',
      hours: '24',
      skipUnreachable: true,
    }
    await pushCommand.run({ args: [], flags: { ...flags, batch: String(hosts.length) } }, context)
  },
}

function due({ history, project, target }: Workspace) {
  using _ = history
  const found = leftBehind(history.rollouts, project.config.service, target)
  const { release = '', version = '' } = found?.record.details.what ?? {}
  return { release, version, hosts: found?.hosts ?? [] }
}
