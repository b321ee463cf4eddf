import type { CliContext } from '../cli/context.ts'
import type { Workspace } from '../cli/workspace.ts'
import { Around } from '../rollout/around.ts'

/** What happens beside a rollout, told on this screen. */
export const aroundOf = ({ project, history }: Workspace, { env, out }: CliContext): Around =>
  new Around({
    project,
    history,
    env,
    onProblem: (text) => out.note(`  ${text}`),
    onLine(command, line) {
      out.note(`  ${command}: ${line}`)
      out.event({ type: 'hook', command, line })
    },
  })
