import type { Command } from '../cli/command.ts'
import { table } from '../cli/table.ts'
import { environmentFlag, hostFlag, onFlag, hostKeyFlag, openWorkspace } from '../cli/workspace.ts'
import { moment, short } from '../cli/words.ts'
import { openAll } from '../push/deploy.ts'
import { readCode, readState } from '../push/session.ts'
import { shortList } from '../../shared/plan/changes.ts'
import type { CodeReport, ServiceState } from '../../shared/wire/api.ts'

export const statusCommand: Command = {
  name: 'status',
  summary: 'what each host runs now',
  flags: [environmentFlag, hostFlag, onFlag, hostKeyFlag],
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
          code: await readCode(session, project.config.service),
        })),
      )
      const rows = target.hosts.map(({ name }) => {
        const { state, code = null } = states.find(({ host }) => host === name) ?? {}
        const error = failed.find(({ host }) => host === name)?.error
        out.event({
          type: 'status',
          host: name,
          state: state ? { ...state, challenge: undefined } : null,
          code,
          error: error?.toJSON() ?? null,
        })
        return state ? rowOf(name, state, code) : [name, '?', error?.code ?? '', '', '']
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

function rowOf(host: string, state: ServiceState, code: CodeReport['code']): string[] {
  const { version, active, instances, deploying, addresses } = state
  const listens = Object.values(addresses).join(' ')
  if (deploying)
    return [host, version ?? '-', active ? short(active) : '-', `deploying: ${deploying.state}`, listens]
  if (active === null) return [host, '-', '-', 'nothing deployed', listens]
  const [one] = instances.filter(({ release }) => release === active)
  const restarts = one && one.restarts > 0 ? `, ${one.restarts} restarts` : ''
  return [
    host,
    version ?? '?',
    short(active),
    (one ? `${one.state}${restarts}${codeText(code, active)}` : 'NOT RUNNING') + frozenText(state),
    listens,
  ]
}

const frozenText = ({ frozen }: ServiceState) =>
  frozen ? `, frozen until ${moment(frozen.until)}${frozen.reason === '' ? '' : `: ${frozen.reason}`}` : ''

const pinnedShown = 3

/** Whether the program runs what was released, by its own word. */
function codeText(code: CodeReport['code'], active: string): string {
  if (code === null) return ''
  const { release, differing, generation, modules, pinned } = code
  if (release !== active || differing.length > 0)
    return `, but RUNS OTHER CODE${differing.length > 0 ? `: ${shortList(differing)}` : ''}`
  const swaps = generation === 0 ? '' : `, ${generation} ${generation === 1 ? 'swap' : 'swaps'}`
  // One or two may only be waiting for the garbage collector.
  const held = pinned.length < pinnedShown ? '' : `, holds code of ${pinned.length} former releases`
  return `${swaps}, ${modules} modules as released${held}`
}
