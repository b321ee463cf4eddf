import { text, type Command } from '../cli/command.ts'
import { groupHosts } from '../cli/push-screen.ts'
import { table } from '../cli/table.ts'
import {
  environmentFlag,
  hostFlag,
  onFlag,
  hostKeyFlag,
  openWorkspace,
  type Workspace,
} from '../cli/workspace.ts'
import { ago, duration } from '../cli/words.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Login, Receipt } from '../../shared/formats/receipt.ts'
import type { HostResult, Push } from '../history/history.ts'
import { compareReceipts, readReceipts } from '../history/compare.ts'
import { exportHistory } from '../history/export.ts'
import { verifyHistory, type Checked } from '../history/verify.ts'
import { openAll } from '../push/deploy.ts'
import type { CliContext } from '../cli/context.ts'

const defaultLimit = '10'

export const historyCommand: Command = {
  name: 'history',
  summary: 'who deployed what, where, when and why, and what became of it',
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '-n, --limit <count>', summary: 'how many orders', default: defaultLimit },
    { flag: '--verify', summary: 'check every signature and the chain of receipts, here and on the hosts' },
    { flag: '--export <dir>', summary: 'write every signed document to files, for ssh-keygen -Y verify' },
    { flag: '--offline', summary: 'with --verify: only what is here' },
    hostKeyFlag,
  ],
  examples: ['deployctl history', 'deployctl history --verify', 'deployctl history -n 50 --json'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using history = workspace.history
    const { out } = context
    const { project, target, fleet } = workspace
    const exported = text(parsed, 'export')
    if (exported !== undefined) {
      const hosts = target.hosts.map(({ name }) => name)
      const count = await exportHistory(exported, project.config.service, hosts, fleet, history)
      out.event({ type: 'exported', dir: exported, count })
      out.line(`${count} documents in ${exported}; check one of them, here an order signed by NAME:`)
      out.line(
        `  ssh-keygen -Y verify -f allowed_signers -I NAME -n ${namespaces.order} -s X.order.json.sig < X.order.json`,
      )
      return
    }
    if (parsed.flags['verify'] === true) {
      const checked = verifyHistory(
        history,
        fleet,
        target.hosts.map(({ name }) => name),
        project.config.service,
      )
      const isOffline = parsed.flags['offline'] === true
      const unreached = isOffline ? null : await compareHosts(workspace, checked, out)
      for (const { what, why } of checked.broken) out.line(`✘ ${what}: ${why}`)
      for (const line of checked.notes) out.line(`  ${line}`)
      out.event({ type: 'verified', ...checked })
      if (checked.broken.length > 0)
        throw new DeployError('E_HISTORY_BROKEN', { count: checked.broken.length, total: checked.total })
      if (unreached) throw unreached
      out.line(
        `${checked.orders} orders and ${checked.receipts} receipts: every signature is good, the chain is whole.`,
      )
      return
    }
    const limit = Math.min(1000, Math.max(1, Number.parseInt(text(parsed, 'limit') ?? defaultLimit, 10) || 1))
    const pushes = history.pushes(project.config.service, text(parsed, 'env') ?? null, limit)
    if (pushes.length === 0) out.line('Nothing was deployed from here yet.')
    const orders = pushes.map((push) => ({ push, results: history.results(push.opId) }))
    for (const { push, results } of orders) out.event(eventOf(push, results))
    const rows = byRollout(orders)
    if (rows.length > 0)
      out.line(
        table(
          ['when', 'what', 'version', 'where', 'who', 'result'],
          rows.map(({ push, results }) => rowOf(push, results)),
        ),
      )
    for (const { push, results } of rows) {
      const failed = results.flatMap(({ host, error }): [string, string][] =>
        error ? [[host, `${error.code} ${error.message}`]] : [],
      )
      for (const [message, hosts] of groupHosts(failed)) out.note(`${push.version} on ${hosts}: ${message}`)
    }
    const ways = rows.flatMap(({ push, results }) =>
      results.flatMap(({ receipt }) => {
        const login = loginOf(receipt)
        return login ? [wayOf(push, login)] : []
      }),
    )
    for (const way of new Set(ways)) out.note(way)
  },
}

type Told = { push: Push; results: HostResult[] }

/** The orders of a rollout are one thing to people: a line for what it deployed, one for what it took back. */
function byRollout(orders: readonly Told[]): Told[] {
  const groups = new Map<string, Told>()
  for (const { push, results } of orders) {
    const key = push.rollout === null ? push.opId : `${push.rollout} ${push.action}`
    const group = groups.get(key) ?? { push, results: [] }
    group.results.push(...results)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Whether the hosts show what they showed before. Gives why one could not be asked. */
async function compareHosts(
  { history, target, sessions }: Workspace,
  checked: Checked,
  out: CliContext['out'],
): Promise<DeployError | null> {
  const { opened, failed } = await openAll({ sessions, target })
  for (const session of opened) {
    const host = session.target.name
    const receipts = await readReceipts(session).finally(() => session.client.close())
    const broken = compareReceipts(host, receipts, sessions.fleet.root.fleet, history)
    checked.broken.push(...broken)
    checked.total += receipts.length
    if (broken.length === 0) out.line(`${host}: ${receipts.length} receipts, none missing, altered or forked`)
  }
  for (const { host, error } of failed) out.line(`${host} could not be compared: ${error.message}`)
  return failed[0]?.error ?? null
}

/** From the receipt's own bytes, which were verified when they were recorded. */
const opened = (receipt: HostResult['receipt']): Partial<Receipt> =>
  receipt ? (JSON.parse(receipt.bytes.toString()) as Receipt) : {}

const loginOf = (receipt: HostResult['receipt']): Login | null => opened(receipt).login ?? null

function rowOf(push: Push, results: HostResult[]): string[] {
  const version = push.provenance?.dirty ? `${push.version} *` : push.version
  const total = results.reduce(
    (most, { steps }) =>
      Math.max(
        most,
        steps.reduce((sum, { ms }) => sum + ms, 0),
      ),
    0,
  )
  const counts = [...new Set(results.map(({ result }) => result))].map((result) => {
    const count = results.filter((one) => one.result === result).length
    return results.length === 1 ? result : `${count} ${result}`
  })
  const result = counts.length === 0 ? 'no answer yet' : counts.join(', ')
  const hosts =
    results.length > 2 ? `${results.length} hosts` : results.map(({ host }) => host).join(', ') || '-'
  const where = `${push.environment}: ${hosts}`
  return [
    ago(push.at),
    push.action,
    shorten(version, 22),
    shorten(where, 24),
    shorten(push.signer, 10),
    `${result} ${duration(total)}`,
  ]
}

/** Who signed, and with what somebody logged in to bring it. */
function wayOf({ signer, fingerprint }: Push, { user, key, certificate }: Login): string {
  const by = certificate
    ? `certificate "${certificate.id}" (serial ${certificate.serial})`
    : (key ?? 'no key')
  return `signed by ${signer} (${fingerprint}), logged in as ${user} with ${by}`
}

const shorten = (value: string, length: number) =>
  value.length <= length ? value : `${value.slice(0, length - 1)}…`

function eventOf(push: Push, results: HostResult[]): Record<string, unknown> {
  const { order: _order, orderSignatures: _signatures, ...what } = push
  const told = results.map(({ host, result, strategy, reasons, steps, error, ended, receipt }) => ({
    host,
    result,
    strategy,
    reasons,
    steps,
    error,
    ended,
    login: loginOf(receipt),
    drain: opened(receipt).drain ?? null,
    receipt: receipt && { number: receipt.number, digest: receipt.digest, previous: receipt.previous },
  }))
  return { type: 'deployment', ...what, results: told }
}
