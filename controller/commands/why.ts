import { writeFile } from 'node:fs/promises'
import { DeployError } from '../../shared/errors.ts'
import { text, type Command } from '../cli/command.ts'
import { whyPage } from '../cli/why-page.ts'
import {
  environmentFlag,
  hostFlag,
  hostKeyFlag,
  openWorkspace,
  targetOf,
  type Workspace,
} from '../cli/workspace.ts'
import type { Push } from '../history/history.ts'
import type { RolloutRecord } from '../history/rollouts.ts'
import { tellStory } from '../rollout/why.ts'
import { findRollout } from './rollout-drive.ts'

const looked = 1000

export const whyCommand: Command = {
  name: 'why',
  summary: 'one page with all that explains how a deployment came out',
  args: [{ arg: '[id]', summary: 'of a rollout or an order, its first digits; the newest when left out' }],
  flags: [
    environmentFlag,
    hostFlag,
    { flag: '-o, --output <file>', summary: 'write it to a file, to attach to a ticket' },
    hostKeyFlag,
  ],
  examples: ['deployctl why', 'deployctl why 3f9c02aa -o why.md', 'deployctl why --host web4'],
  async run(parsed, context) {
    const workspace = await openWorkspace({ ...parsed, flags: { ...parsed.flags, host: undefined } }, context)
    using history = workspace.history
    const { sessions, project } = workspace
    const { pushes, record } = await find(parsed.args[0], workspace)
    const wanted = text(parsed, 'host')?.split(',').filter(Boolean) ?? null
    const target = await targetOf(project, { flags: { env: parsed.flags['env'] } }, context)
    const story = await tellStory(pushes, record, wanted, { history, sessions, target })
    const page = whyPage(story)
    const file = text(parsed, 'output')
    if (file !== undefined) await writeFile(file, page)
    context.out.line(file === undefined ? page.trimEnd() : `written to ${file}`)
    for (const { host, result, events, facts } of story.hosts)
      context.out.event({
        type: 'why',
        host,
        result: result?.result ?? null,
        error: result?.error ?? null,
        events,
        facts,
      })
  },
}

/** The orders that are meant. @throws DeployError E_ROLLOUT_UNKNOWN */
async function find(
  id: string | undefined,
  workspace: Workspace,
): Promise<{ pushes: Push[]; record: RolloutRecord | null }> {
  const { history, project, target } = workspace
  const all = history.pushes(project.config.service, target.environment.name, looked)
  const isMeant = ({ opId, rollout }: Push) =>
    id === undefined || opId.startsWith(id) || rollout?.startsWith(id) === true
  let first = all.find(isMeant)
  if (!first && id !== undefined) {
    // Somebody else's: what the hosts journalled of it comes into the history here.
    await findRollout(id, workspace)
    first = history.pushes(project.config.service, target.environment.name, looked).find(isMeant)
  }
  if (!first) throw new DeployError('E_ROLLOUT_UNKNOWN', { id: id ?? '' })
  const { rollout } = first
  if (rollout === null) return { pushes: [first], record: null }
  const pushes = history
    .pushes(project.config.service, target.environment.name, looked)
    .filter((one) => one.rollout === rollout)
  return { pushes: pushes.toReversed(), record: history.rollouts.load(rollout) }
}
