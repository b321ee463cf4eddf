import { setTimeout as delay } from 'node:timers/promises'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { parserOf } from '../../shared/schema.ts'
import { DeploymentEvent } from '../../shared/wire/api.ts'
import type { HostTarget } from '../config/target.ts'
import type { ChannelClient } from '../transport/channel-client.ts'
import type { DeployOptions } from './deploy-options.ts'
import type { SignedOrder } from './order.ts'
import { checkAnswers, openReceipt, type OpenedReceipt } from './receipt.ts'
import { confirm, openSession, type Session } from './session.ts'

const eventParser = parserOf(DeploymentEvent)
const reconnects = 5
const reconnectMs = 500
const confirmAgainMs = 2_000
/** The connection broke; what the order came to can be asked for again. */
const cutCodes = new Set(['E_CONNECTION_LOST', 'E_SSH_CONNECT', 'E_SSH_SUBSYSTEM'])

export type FollowOptions = Pick<DeployOptions, 'sessions' | 'history' | 'emit'> & {
  environment: Environment
  /** Whether it was sent before, by somebody who died since. */
  wasSent?: boolean
  /** Nobody waits any longer; its reason is thrown. */
  signal?: AbortSignal
}

/**
 * Sends an order and sees it through to its receipt: reads the events, confirms, and takes a cut
 * connection up again where it broke.
 * @param used where the bytes of further connections are counted
 * @throws DeployError E_ORDER_LOST when the host knows nothing of it, and those of the host
 */
export async function follow(
  session: Session,
  order: SignedOrder,
  options: FollowOptions,
  used: { sent: number; received: number },
): Promise<OpenedReceipt> {
  const { target } = session
  const request = JSON.stringify({
    order: order.bytes.toString(),
    signatures: order.signatures,
    environment: options.environment,
    ...(order.release.length > 0 && { release: order.release }),
    approvals: order.approvals,
  })
  let last = 0
  const seen: Seen = { state: '', isOver: false }
  const reopened: ChannelClient[] = []
  const stop = () => (reopened.at(-1) ?? session.client).close()
  options.signal?.addEventListener('abort', stop)
  try {
    for (let attempt = 0; ; attempt++) {
      options.signal?.throwIfAborted()
      const client = reopened.at(-1) ?? session.client
      try {
        const stream =
          attempt === 0 && options.wasSent !== true
            ? client.lines('/v1/orders', eventParser, request)
            : client.lines(`/v1/deployments/${order.opId}/events?after=${last}`, eventParser)
        for await (const event of stream) {
          last = event.n
          const receipt = await onEvent(event, target, order, options, used, seen)
          if (receipt) return receipt
        }
        if (last === 0) throw new DeployError('E_ORDER_LOST', { host: target.name })
      } catch (error) {
        options.signal?.throwIfAborted()
        const failure = asDeployError(error)
        if (!cutCodes.has(failure.code) || attempt >= reconnects) throw failure
        options.emit({ type: 'stage', host: target.name, stage: 'connection lost, asking again' })
        await delay(reconnectMs * 2 ** attempt * (0.5 + Math.random()), undefined, {
          signal: options.signal,
        }).catch(() => {})
        const again = await openSession(target, options.sessions).catch(() => null)
        if (again) reopened.push(again.client)
      }
    }
  } finally {
    seen.isOver = true
    options.signal?.removeEventListener('abort', stop)
    for (const client of reopened) {
      const { sent, received } = client.bytes()
      used.sent += sent
      used.received += received
      client.close()
    }
  }
}

/** What is known of the host meanwhile. */
type Seen = { state: string; isOver: boolean }

async function onEvent(
  event: DeploymentEvent,
  target: HostTarget,
  order: SignedOrder,
  options: FollowOptions,
  used: { sent: number; received: number },
  seen: Seen,
): Promise<OpenedReceipt | null> {
  const { emit, sessions, history } = options
  emit({ type: 'event', host: target.name, event })
  const { type, data } = event
  if (type === 'state') seen.state = String(data['state'])
  if (type === 'state' && seen.state === 'probation') {
    const isConfirmed = await tryConfirm(target, order, options, used)
    // The host goes back by itself if it stays so; its events tell.
    if (!isConfirmed) void confirmLater(target, order, options, used, seen)
  }
  if (type !== 'receipt') return null
  const pinned = history.pinnedKey(sessions.fleet.root.fleet, target.name)
  const receipt = openReceipt(String(data['receipt']), String(data['signature']), target.name, pinned)
  checkAnswers(receipt, order.opId, order.bytes)
  return receipt
}

async function tryConfirm(
  target: HostTarget,
  order: SignedOrder,
  { emit, sessions }: FollowOptions,
  used: { sent: number; received: number },
): Promise<boolean> {
  try {
    const bytes = await confirm(target, order.opId, sessions)
    used.sent += bytes.sent
    used.received += bytes.received
    return true
  } catch (error) {
    emit({ type: 'stage', host: target.name, stage: `confirm failed: ${asDeployError(error).message}` })
    return false
  }
}

/** The way to the host may come back before its time is over. */
async function confirmLater(
  target: HostTarget,
  order: SignedOrder,
  options: FollowOptions,
  used: { sent: number; received: number },
  seen: Seen,
): Promise<void> {
  for (;;) {
    await delay(confirmAgainMs)
    if (seen.isOver || seen.state !== 'probation' || options.signal?.aborted) return
    if (await tryConfirm(target, order, options, used)) return
  }
}
