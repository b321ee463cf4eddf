import pLimit from 'p-limit'
import { DeployError, asDeployError, isErrorCode } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import type { History } from '../history/history.ts'
import { checkAuthority } from './authority.ts'
import type { DeployOptions, Ready } from './deploy-options.ts'
import type { What } from './what.ts'
import type { HostReport } from './events.ts'
import { follow, type FollowOptions } from './follow.ts'
import { environmentOf, makeOrder, type SignedOrder } from './order.ts'
import type { OpenedReceipt } from './receipt.ts'
import { agreeOnRoot, openSession, type Session } from './session.ts'

export const blankReport = (host: string): HostReport => ({
  host,
  result: 'unknown',
  strategy: 'none',
  drain: null,
  reasons: [],
  error: null,
  steps: [],
  ms: 0,
  sent: 0,
  received: 0,
})

export type OpenedHosts = { opened: Session[]; failed: { host: string; error: DeployError }[] }

/** Opens a session with each host, at most `parallel` at once; what failed is told by its error. */
export async function openAll({
  sessions,
  target,
}: Pick<DeployOptions, 'sessions' | 'target'>): Promise<OpenedHosts> {
  const limit = pLimit(target.rollout.policy.parallel)
  const opened: Session[] = []
  const failed: OpenedHosts['failed'] = []
  const open = async (host: HostTarget) => {
    try {
      opened.push(await openSession(host, sessions))
    } catch (error) {
      failed.push({ host: host.name, error: asDeployError(error) })
    }
  }
  await Promise.all(target.hosts.map((host) => limit(() => open(host))))
  // One of them may have known a newer root than those that were asked before it.
  const behind = opened.filter(({ hello }) => hello.root.version < sessions.fleet.root.version)
  await Promise.all(behind.map((session) => agreeOnRoot(session, sessions)))
  const order = target.hosts.map(({ name }) => name)
  opened.sort((a, b) => order.indexOf(a.target.name) - order.indexOf(b.target.name))
  return { opened, failed }
}

/** Signs one order for all hosts and sees it through on each. Everything is in the history, the order before it is sent. */
export async function carryOut(
  ready: readonly Ready[],
  what: What,
  options: DeployOptions,
): Promise<HostReport[]> {
  checkAuthority(ready, what, options, environmentOf(options))
  const order = await makeOrder(ready, what, options, null)
  const limit = pLimit(options.target.rollout.policy.parallel)
  const { sessions, history, emit, target } = options
  const following = { sessions, history, emit, environment: target.environment }
  const one = async (each: Ready) => {
    const { report, opened } = await runOrder(each, order, following)
    record(history, order.opId, report, opened)
    emit({ type: 'result', ...report })
    return report
  }
  return Promise.all(ready.map((each) => limit(() => one(each))))
}

/** An order on one host, to what it came to: the confirm over a fresh connection, the receipt. Never throws. */
export async function runOrder(
  { session, beganMs }: Pick<Ready, 'session' | 'beganMs'>,
  order: SignedOrder,
  options: FollowOptions,
): Promise<{ report: HostReport; opened: OpenedReceipt | null }> {
  const report = blankReport(session.target.name)
  const used = { sent: 0, received: 0 }
  let opened: OpenedReceipt | null = null
  try {
    opened = await follow(session, order, options, used)
    takeReceipt(report, opened)
  } catch (error) {
    report.error = asDeployError(error)
    // Refused before it began: the host said so itself. A broken connection leaves it open.
    report.result = report.error.production === 'unknown' ? 'unknown' : 'aborted'
  }
  const bytes = session.client.bytes()
  report.sent = bytes.sent + used.sent
  report.received = bytes.received + used.received
  report.ms = Math.round(performance.now() - beganMs)
  return { report, opened }
}

/** What an order came to on a host. */
export function record(history: History, opId: string, report: HostReport, opened: OpenedReceipt | null) {
  const { host, result, strategy, reasons, steps, error } = report
  if (result === 'unchanged' || result === 'skipped') return
  history.recordResult({
    opId,
    host,
    result,
    strategy,
    reasons,
    steps,
    error: error && { code: error.code, message: error.message },
    ended: opened?.receipt.ended ?? new Date().toISOString(),
    receipt: opened && {
      bytes: opened.bytes,
      signature: opened.signature,
      digest: opened.digest,
      previous: opened.receipt.previous,
      number: opened.receipt.number,
    },
  })
}

function takeReceipt(report: HostReport, { receipt }: OpenedReceipt) {
  const { result, strategy, reasons, steps, error, drain = null } = receipt
  Object.assign(report, { result, strategy, reasons, steps, drain })
  if (error) report.error = hostError(error.code, error.message)
}

/** The host's own words, under a code of ours where it is one. */
function hostError(code: string, message: string): DeployError {
  const known = isErrorCode(code) ? code : 'E_INTERNAL'
  const error = new DeployError(known, { why: message, detail: message })
  error.message = message
  return error
}
