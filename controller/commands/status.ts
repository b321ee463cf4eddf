import type { Command } from '../cli/command.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, hostFlag, hostKeyFlag, openWorkspace } from '../cli/workspace.ts'
import { short } from '../cli/words.ts'
import { openAll } from '../push/deploy.ts'
import { readState } from '../push/session.ts'
import type { ServiceState } from '../../shared/wire/api.ts'

export const statusCommand: Command = {
  name: 'status',
  summary: 'what each host runs now',
  flags: [environmentFlag, hostFlag, hostKeyFlag],
  examples: ['deployctl status', 'deployctl status -e staging --json'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using _ = workspace.history
    const { out } = context
    const { target, project } = workspace
    const { opened, failed } = await openAll(workspace)
    try {
      const states = await Promise.all(
        opened.map(async (session) => ({
          host: session.target.name,
          state: await readState(session, project.config.service),
        })),
      )
      const rows = target.hosts.map(({ name }) => {
        const state = states.find(({ host }) => host === name)?.state
        const error = failed.find(({ host }) => host === name)?.error
        out.event({
          type: 'status',
          host: name,
          state: state ? { ...state, challenge: undefined } : null,
          error: error?.toJSON() ?? null,
        })
        return state ? rowOf(name, state) : [name, '?', error?.code ?? '', '', '']
      })
      out.line(`${project.config.service} in ${target.environment.name}`)
      out.line(table(['host', 'version', 'release', 'state', 'listens on'], rows))
      for (const { host, error } of failed) out.note(`${host}: ${error.message}`)
      const [first] = failed
      if (first) throw first.error
    } finally {
      for (const { client } of opened) client.close()
    }
  },
}

function rowOf(host: string, state: ServiceState): string[] {
  const { version, active, instances, deploying, addresses } = state
  const listens = Object.values(addresses).join(' ')
  if (deploying)
    return [host, version ?? '-', active ? short(active) : '-', `deploying: ${deploying.state}`, listens]
  if (active === null) return [host, '-', '-', 'nothing deployed', listens]
  const [one] = instances.filter(({ release }) => release === active)
  const restarts = one && one.restarts > 0 ? `, ${one.restarts} restarts` : ''
  return [host, version ?? '?', short(active), one ? `${one.state}${restarts}` : 'NOT RUNNING', listens]
}
