import { styleText } from 'node:util'
import { parserOf } from '../../shared/schema.ts'
import { LogLine } from '../../shared/wire/api.ts'
import { text, type Command } from '../cli/command.ts'
import { environmentFlag, hostFlag, onFlag, hostKeyFlag, openWorkspace } from '../cli/workspace.ts'
import { openAll } from '../push/deploy.ts'

const lineParser = parserOf(LogLine)
const defaultLines = '50'

export const logsCommand: Command = {
  name: 'logs',
  summary: 'the last log lines of the service, from all hosts',
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '-n, --lines <count>', summary: 'lines of each host', default: defaultLines },
    { flag: '-f, --follow', summary: 'go on with new lines' },
    hostKeyFlag,
  ],
  examples: ['deployctl logs', 'deployctl logs -f --host web1'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using _ = workspace.history
    const { out } = context
    const { target, project } = workspace
    const count = Math.min(10_000, Number.parseInt(text(parsed, 'lines') ?? defaultLines, 10) || 1)
    const follow = parsed.flags['follow'] === true ? '&follow=1' : ''
    const { opened, failed } = await openAll(workspace)
    const width = Math.max(...target.hosts.map(({ name }) => name.length))
    const read = async ({ client, target: host }: (typeof opened)[number]) => {
      const path = `/v1/services/${project.config.service}/logs?lines=${count}${follow}`
      for await (const line of client.lines(path, lineParser)) {
        out.event({ type: 'log', host: host.name, ...line })
        const colour = line.stream === 'err' ? 'yellow' : line.stream === 'supervisor' ? 'cyan' : 'reset'
        out.line(
          `${styleText('dim', `${host.name.padEnd(width)} ${line.at.slice(11, 23)}`)} ${styleText(colour, line.line)}`,
        )
      }
    }
    try {
      await Promise.all(opened.map(read))
      const [first] = failed
      if (first) throw first.error
    } finally {
      for (const { client } of opened) client.close()
    }
  },
}
