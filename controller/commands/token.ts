import { DeployError } from '../../shared/errors.ts'
import { text, type Command } from '../cli/command.ts'
import { table } from '../cli/table.ts'
import { ago, moment } from '../cli/words.ts'
import { controllerFlag, openClient } from '../client/open-client.ts'
import type { Token } from '../history/access.ts'

const dayMs = 86_400_000

export const tokenCommand: Command = {
  name: 'token',
  summary: "who may use the controller's dashboard and API",
  args: [
    { arg: '<action>', summary: 'what to do', choices: ['add', 'list', 'remove'] },
    { arg: '[name]', summary: 'whose' },
  ],
  flags: [
    {
      flag: '--role <role>',
      summary: 'add: viewer, operator (steers rollouts and schedules) or admin',
      default: 'viewer',
    },
    { flag: '--days <count>', summary: 'add: for how long; until it is removed when left out' },
    controllerFlag,
  ],
  examples: ['deployctl token add alice --role operator --days 90', 'deployctl token remove alice'],
  async run(parsed, context) {
    const [action, name] = parsed.args
    const { out } = context
    await using client = await openClient(parsed, context)
    if (action === 'list') {
      const { tokens } = await client.call<{ tokens: Token[] }>({ method: 'GET', path: '/tokens' })
      for (const token of tokens) out.event({ type: 'token', ...token })
      if (tokens.length === 0) return out.line('There is none yet.')
      const rows = tokens.map(({ name: whose, role, added, expires, used }) => [
        whose,
        role,
        ago(added),
        expires === null ? 'removed' : moment(expires),
        used === null ? 'never' : ago(used),
      ])
      return out.line(table(['name', 'role', 'since', 'until', 'used'], rows))
    }
    if (name === undefined)
      throw new DeployError('E_USAGE', { detail: `Say whose: deployctl token ${action} NAME` })
    if (action === 'remove') {
      await client.call({ method: 'DELETE', path: `/tokens/${encodeURIComponent(name)}` })
      out.event({ type: 'token', name, done: 'remove' })
      return out.line(`${name} has no access any more`)
    }
    const days = text(parsed, 'days')
    if (days !== undefined && !/^[1-9]\d{0,3}$/.test(days))
      throw new DeployError('E_USAGE', { detail: '--days is a number of days.' })
    const expires =
      days === undefined ? {} : { expires: new Date(Date.now() + Number(days) * dayMs).toISOString() }
    const body = { name, role: text(parsed, 'role'), ...expires }
    const { secret } = await client.call<{ secret: string }>({ method: 'POST', path: '/tokens', body })
    out.event({ type: 'token', name, secret })
    out.line(secret)
    out.note('  it is shown this once; give it in DEPLOYCTL_TOKEN, or to the dashboard')
  },
}
