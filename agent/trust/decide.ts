import { DeployError } from '../../shared/errors.ts'
import type { Order, OrderHost } from '../../shared/formats/order.ts'
import type { Root } from '../../shared/formats/root.ts'

/** What the host knows when an order arrives. */
export type OrderFacts = {
  host: string
  root: Pick<Root, 'fleet' | 'epoch' | 'version'>
  /** ISO instant. */
  now: string
  isFresh(service: string, challenge: string): boolean
}

/** How far the clocks of a laptop and a host may differ, in seconds. */
export const clockToleranceSeconds = 60

/** What orders of any kind say of where and when they count. */
type Addressed<H> = Pick<Order, 'fleet' | 'epoch' | 'root' | 'service' | 'notBefore' | 'expires'> & {
  hosts: readonly H[]
}

/**
 * Whether a correctly signed order is for this host, this fleet and now; gives the host's own entry.
 * Sequence and previous release are checked by the journal, in the transaction that begins the deployment.
 * @throws DeployError E_WRONG_FLEET, E_ROOT_VERSION, E_WRONG_HOST, E_ORDER_EXPIRED, E_ORDER_CHALLENGE
 */
export function acceptOrder<H extends Pick<OrderHost, 'id' | 'challenge'>>(
  order: Addressed<H>,
  facts: OrderFacts,
): H {
  const { host, root, now: clock } = facts
  if (order.fleet !== root.fleet || order.epoch !== root.epoch)
    throw new DeployError('E_WRONG_FLEET', {
      own: `${root.fleet} epoch ${root.epoch}`,
      other: `${order.fleet} epoch ${order.epoch}`,
      what: 'order',
    })
  if (order.root !== root.version)
    throw new DeployError('E_ROOT_VERSION', { given: order.root, own: root.version })
  const entries = order.hosts.filter(({ id }) => id === host)
  const [entry] = entries
  if (!entry || entries.length !== 1) throw new DeployError('E_WRONG_HOST', { own: host })
  const now = Date.parse(clock)
  const toleranceMs = clockToleranceSeconds * 1000
  const { notBefore, expires } = order
  if (now < Date.parse(notBefore) - toleranceMs || now > Date.parse(expires) + toleranceMs)
    throw new DeployError('E_ORDER_EXPIRED', { notBefore, expires, now: clock })
  if (!facts.isFresh(order.service, entry.challenge)) throw new DeployError('E_ORDER_CHALLENGE')
  return entry
}
