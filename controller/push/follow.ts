import { setTimeout as delay } from 'node:timers/promises'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { DeploymentEvent, type SignedApproval } from '../../shared/wire/api.ts'
import type { HostTarget } from '../config/target.ts'
import type { ChannelClient } from '../transport/channel-client.ts'
import type { DeployOptions, Ready } from './deploy-options.ts'
import { checkAnswers, openReceipt, type OpenedReceipt } from './receipt.ts'
import { confirm, openSession } from './session.ts'

const eventParser = parserOf(DeploymentEvent)
const reconnects = 5
const reconnectMs = 500
/** The connection broke; what the order came to can be asked for again. */
const cutCodes = new Set(['E_CONNECTION_LOST', 'E_SSH_CONNECT', 'E_SSH_SUBSYSTEM'])

export type SignedOrder = {
  opId: string
  at: string
  bytes: Buffer
  signatures: string[]
  release: readonly string[]
  approvals: readonly SignedApproval[]
}

/**
 * Sends an order and sees it through to its receipt: reads the events, confirms, and takes a cut
 * connection up again where it broke.
 * @param used where the bytes of further connections are counted
 */
export async function follow(
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
    ...(order.release.length > 0 && { release: order.release }),
    approvals: order.approvals,
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
  const pinned = history.pinnedKey(sessions.fleet.root.fleet, target.name)
  const receipt = openReceipt(String(data['receipt']), String(data['signature']), target.name, pinned)
  checkAnswers(receipt, order.opId, order.bytes)
  return receipt
}
