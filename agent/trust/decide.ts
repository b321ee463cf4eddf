import { DeployError } from '../../shared/errors.ts'
import type { Order, OrderHost } from '../../shared/formats/order.ts'

/** What the host knows when an order arrives. */
export type OrderFacts = {
  host: string
  fleet: string
  epoch: number
  /** The host's wall clock, ISO. */
  now: string
  isFresh(service: string, challenge: string): boolean
}

/** How far the clocks of a laptop and a host may differ, in seconds. */
export const clockToleranceSeconds = 60

/**
 * Whether a correctly signed order is for this host, this fleet and now; gives the host's own entry.
 * Sequence and previous release are checked by the journal, in the transaction that begins the deployment.
 * @throws DeployError E_WRONG_FLEET, E_WRONG_HOST, E_ORDER_EXPIRED, E_ORDER_CHALLENGE
 */
export function acceptOrder(order: Order, facts: OrderFacts): OrderHost {
  if (order.fleet !== facts.fleet || order.epoch !== facts.epoch)
    throw new DeployError('E_WRONG_FLEET', {
      own: `${facts.fleet} epoch ${facts.epoch}`,
      other: `${order.fleet} epoch ${order.epoch}`,
      what: 'order',
    })
  const entries = order.hosts.filter((host) => host.id === facts.host)
  const [entry] = entries
  if (!entry || entries.length !== 1) throw new DeployError('E_WRONG_HOST', { own: facts.host })
  const now = Date.parse(facts.now)
  const toleranceMs = clockToleranceSeconds * 1000
  if (now < Date.parse(order.notBefore) - toleranceMs || now > Date.parse(order.expires) + toleranceMs)
    throw new DeployError('E_ORDER_EXPIRED', {
      notBefore: order.notBefore,
      expires: order.expires,
      now: facts.now,
    })
  if (!facts.isFresh(order.service, entry.challenge)) throw new DeployError('E_ORDER_CHALLENGE')
  return entry
}
