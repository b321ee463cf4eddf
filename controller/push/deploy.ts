import { randomBytes } from 'node:crypto'
import pLimit from 'p-limit'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { DeployError, asDeployError, isErrorCode } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Order } from '../../shared/formats/order.ts'
import { checkRootTime } from '../../shared/trust/root.ts'
import type { HostTarget } from '../config/target.ts'
import type { History } from '../history/history.ts'
import { checkAuthority } from './authority.ts'
import type { DeployOptions, Ready, What } from './deploy-options.ts'
import type { HostReport } from './events.ts'
import { follow, type SignedOrder } from './follow.ts'
import type { OpenedReceipt } from './receipt.ts'
import { agreeOnRoot, openSession, type Session } from './session.ts'

const orderMinutes = 5

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
  const limit = pLimit(target.parallel)
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

/**
 * Signs one order for all hosts and sees it through on each: events, the confirm over a fresh
 * connection, the receipt. Everything is in the history, the order before it is sent.
 */
export async function carryOut(
  ready: readonly Ready[],
  what: What,
  options: DeployOptions,
): Promise<HostReport[]> {
  const { history, target, signer } = options
  checkAuthority(ready, what, options, environmentOf(options))
  const order = await makeOrder(ready, what, options)
  history.recordPush({
    opId: order.opId,
    at: order.at,
    action: what.action,
    service: what.service,
    environment: target.environment.name,
    release: what.release,
    version: what.version,
    provenance: what.provenance,
    approvals: options.approvals,
    signer: options.sessions.fleet.root.keys.find(({ key }) => key === signer.publicKey)?.owner ?? '?',
    fingerprint: signer.fingerprint,
    reason: what.reason,
    order: order.bytes,
    orderSignatures: order.signatures,
  })
  const limit = pLimit(target.parallel)
  return Promise.all(ready.map((one) => limit(() => carryOutOn(one, order, options))))
}

/** As orders and approvals name it. */
export const environmentOf = ({ target: { environment } }: Pick<DeployOptions, 'target'>) => ({
  name: environment.name,
  digest: sha256Hex(encodeDocument(environment)),
})

async function makeOrder(ready: readonly Ready[], what: What, options: DeployOptions): Promise<SignedOrder> {
  const { sessions, signer, target, approvals } = options
  const { root } = sessions.fleet
  const now = Date.now()
  checkRootTime(root, new Date(now).toISOString())
  const order: Order = {
    spec: 'deployctl/order/v1',
    fleet: root.fleet,
    epoch: root.epoch,
    root: root.version,
    opId: randomBytes(16).toString('hex'),
    action: what.action,
    service: what.service,
    release: what.release,
    environment: environmentOf(options),
    strategy: what.strategy,
    confirmSeconds: target.confirmSeconds,
    notBefore: new Date(now).toISOString(),
    expires: new Date(now + orderMinutes * 60_000).toISOString(),
    reason: what.reason,
    hosts: ready.map(({ session, state }) => ({
      id: session.target.name,
      seq: state.seq + 1,
      prev: state.active,
      challenge: state.challenge,
    })),
  }
  const bytes = encodeDocument(order)
  const signatures = [await signer.sign(namespaces.order, bytes)]
  const release = what.releaseSignatures
  return { opId: order.opId, at: order.notBefore, bytes, signatures, release, approvals }
}

async function carryOutOn(ready: Ready, order: SignedOrder, options: DeployOptions): Promise<HostReport> {
  const { session, beganMs } = ready
  const report = blankReport(session.target.name)
  const used = { sent: 0, received: 0 }
  let opened: OpenedReceipt | null = null
  try {
    opened = await follow(ready, order, options, used)
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
  record(options.history, order.opId, report, opened)
  options.emit({ type: 'result', ...report })
  return report
}

function record(history: History, opId: string, report: HostReport, opened: OpenedReceipt | null) {
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
