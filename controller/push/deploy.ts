import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { DeployError, asDeployError, isErrorCode } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Order } from '../../shared/formats/order.ts'
import type { Root } from '../../shared/formats/root.ts'
import { parserOf } from '../../shared/schema.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { DeploymentEvent, type ServiceState } from '../../shared/wire/api.ts'
import type { HostTarget, Target } from '../config/target.ts'
import type { History } from '../history/history.ts'
import type { ChannelClient } from '../transport/channel-client.ts'
import type { Emit, HostReport } from './events.ts'
import { checkAnswers, openReceipt, type OpenedReceipt } from './receipt.ts'
import { confirm, openSession, type Session, type SessionOptions } from './session.ts'

const eventParser = parserOf(DeploymentEvent)
const orderMinutes = 5
const reconnects = 5
const reconnectMs = 500
/** The connection broke; what the order came to can be asked for again. */
const cutCodes = new Set(['E_CONNECTION_LOST', 'E_SSH_CONNECT', 'E_SSH_SUBSYSTEM'])

/** A host that has the release and said what it runs. */
export type Ready = { session: Session; state: ServiceState; beganMs: number }

export type DeployOptions = {
  sessions: SessionOptions
  root: Root
  signer: Signer
  history: History
  target: Target
  emit: Emit
}

export type What = {
  action: Order['action']
  service: string
  release: string
  version: string
  commit: string | null
  dirty: boolean
  strategy: Order['strategy']
  reason: string
}

export const blankReport = (host: string): HostReport => ({
  host,
  result: 'unknown',
  strategy: 'none',
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
  const order = await makeOrder(ready, what, options)
  history.recordPush({
    opId: order.opId,
    at: order.at,
    action: what.action,
    service: what.service,
    environment: target.environment.name,
    release: what.release,
    version: what.version,
    commit: what.commit,
    dirty: what.dirty,
    signer: options.root.keys.find(({ key }) => key === signer.publicKey)?.owner ?? '?',
    fingerprint: signer.fingerprint,
    reason: what.reason,
    order: order.bytes,
    orderSignatures: order.signatures,
  })
  const limit = pLimit(target.parallel)
  return Promise.all(ready.map((one) => limit(() => carryOutOn(one, order, options))))
}

type SignedOrder = { opId: string; at: string; bytes: Buffer; signatures: string[] }

async function makeOrder(
  ready: readonly Ready[],
  what: What,
  { root, signer, target }: DeployOptions,
): Promise<SignedOrder> {
  const now = Date.now()
  const order: Order = {
    spec: 'deployctl/order/v1',
    fleet: root.fleet,
    epoch: root.epoch,
    opId: randomBytes(16).toString('hex'),
    action: what.action,
    service: what.service,
    release: what.release,
    environment: { name: target.environment.name, digest: sha256Hex(encodeDocument(target.environment)) },
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
  return { opId: order.opId, at: order.notBefore, bytes, signatures }
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
  const { result, strategy, reasons, steps, error } = receipt
  Object.assign(report, { result, strategy, reasons, steps })
  if (error) report.error = hostError(error.code, error.message)
}

/** The host's own words, under a code of ours where it is one. */
function hostError(code: string, message: string): DeployError {
  const known = isErrorCode(code) ? code : 'E_INTERNAL'
  const error = new DeployError(known, { why: message, detail: message })
  error.message = message
  return error
}

/** Reads events to the receipt; a cut connection is taken up again where it broke. */
async function follow(
  { session }: Ready,
  order: SignedOrder,
  options: DeployOptions,
  used: { sent: number; received: number },
): Promise<OpenedReceipt> {
  const { target } = session
  const request = JSON.stringify({
    order: order.bytes.toString(),
    signatures: order.signatures,
    environment: options.target.environment,
  })
  let last = 0
  const reopened: ChannelClient[] = []
  try {
    for (let attempt = 0; ; attempt++) {
      const client = reopened.at(-1) ?? session.client
      try {
        const stream =
          attempt === 0
            ? client.lines('/v1/orders', eventParser, request)
            : client.lines(`/v1/deployments/${order.opId}/events?after=${last}`, eventParser)
        for await (const event of stream) {
          last = event.n
          const receipt = await onEvent(event, target, order, options, used)
          if (receipt) return receipt
        }
        if (last === 0) throw new DeployError('E_ORDER_LOST', { host: target.name })
      } catch (error) {
        const failure = asDeployError(error)
        if (!cutCodes.has(failure.code) || attempt >= reconnects) throw failure
        options.emit({ type: 'stage', host: target.name, stage: 'connection lost, asking again' })
        await delay(reconnectMs * 2 ** attempt * (0.5 + Math.random()))
        const again = await openSession(target, options.sessions).catch(() => null)
        if (again) reopened.push(again.client)
      }
    }
  } finally {
    for (const client of reopened) {
      const { sent, received } = client.bytes()
      used.sent += sent
      used.received += received
      client.close()
    }
  }
}

async function onEvent(
  event: DeploymentEvent,
  target: HostTarget,
  order: SignedOrder,
  { emit, sessions, history }: DeployOptions,
  used: { sent: number; received: number },
): Promise<OpenedReceipt | null> {
  emit({ type: 'event', host: target.name, event })
  const { type, data } = event
  if (type === 'state' && data['state'] === 'probation') {
    try {
      const bytes = await confirm(target, order.opId, sessions)
      used.sent += bytes.sent
      used.received += bytes.received
    } catch (error) {
      // The host goes back by itself if it stays so; its events tell.
      emit({ type: 'stage', host: target.name, stage: `confirm failed: ${asDeployError(error).message}` })
    }
  }
  if (type !== 'receipt') return null
  const pinned = history.pinnedKey(sessions.fleet, target.name)
  const receipt = openReceipt(String(data['receipt']), String(data['signature']), target.name, pinned)
  checkAnswers(receipt, order.opId, order.bytes)
  return receipt
}
