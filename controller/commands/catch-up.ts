import { existsSync } from 'node:fs'
import { DeployError } from '../../shared/errors.ts'
import type { Command } from '../cli/command.ts'
import { environmentFlag, hostKeyFlag, keyFlag, openWorkspace, type Workspace } from '../cli/workspace.ts'
import { keptRelease, pushCommand } from './push.ts'

const looked = 100

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
    const { release, version, hosts } = await due(await openWorkspace(parsed, context))
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

/** Hosts that the newest rollout that came to anything left out. */
async function due({ history, project, target }: Workspace) {
  using _ = history
  const { rollouts } = history
  const newest = rollouts
    .list(project.config.service, target.environment.name, looked)
    .find(({ state }) => state === 'done' || state === 'partial')
  const record = newest && rollouts.load(newest.id)
  if (!record) return { release: '', version: '', hosts: [] }
  const { what, skipped } = record.details
  const later = Object.entries(record.rollout.hosts).flatMap(([host, at]) => (at === 'skipped' ? [host] : []))
  const known = new Set(target.hosts.map(({ name }) => name))
  return {
    release: what.release,
    version: what.version,
    hosts: [...skipped, ...later].filter((host) => known.has(host)),
  }
}
