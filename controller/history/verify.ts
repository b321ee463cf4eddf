import { parseDocument, sha256Hex } from '../../shared/documents/document.ts'
import { asDeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Order, orderLimits } from '../../shared/formats/order.ts'
import { parserOf } from '../../shared/schema.ts'
import { inRole, notEnough, whoSigned } from '../../shared/trust/signers.ts'
import type { Fleet } from '../identity/fleet.ts'
import type { Broken } from './compare.ts'
import { checkAnswers, openReceipt } from '../push/receipt.ts'
import type { History, HostResult, Push } from './history.ts'

export type Checked = {
  orders: number
  receipts: number
  total: number
  broken: Broken[]
  /** What is no proof of anything, but worth knowing. */
  notes: string[]
}

const allOrders = 100_000

/**
 * Checks every order's signature against the root, every receipt's against its host's pinned key, that
 * each receipt answers its order, and that the receipts of a host name each other without a break.
 */
export function verifyHistory(
  history: History,
  fleet: Fleet,
  hosts: readonly string[],
  service: string,
): Checked {
  const checked: Checked = { orders: 0, receipts: 0, total: 0, broken: [], notes: [] }
  const attempt = (what: string, check: () => void) => {
    checked.total += 1
    try {
      check()
    } catch (error) {
      checked.broken.push({ what, why: asDeployError(error).message })
    }
  }
  const orders = new Map<string, Push>()
  for (const push of history.pushes(service, null, allOrders)) {
    orders.set(push.opId, push)
    checked.orders += 1
    attempt(`order ${push.opId}`, () => checkOrder(push, fleet))
  }
  for (const host of hosts) {
    const pinned = history.pinnedKey(fleet.root.fleet, host)
    const receipts = history.receiptsOf(host)
    for (const result of receipts) {
      const { receipt, opId } = result
      if (!receipt) continue
      checked.receipts += 1
      attempt(`receipt ${receipt.number} of ${host}`, () => {
        const opened = openReceipt(receipt.bytes.toString(), receipt.signature, host, pinned)
        const order = orders.get(opId)
        if (order) checkAnswers(opened, opId, order.order)
      })
    }
    checkChain(host, receipts, checked)
  }
  return checked
}

const orderParser = parserOf(Order)

/** By the root that counted when it was signed: who has left since was right then. */
function checkOrder({ order: bytes, orderSignatures }: Push, fleet: Fleet) {
  // The signature first, whoever made it: nothing is read of what was changed.
  whoSigned(namespaces.order, bytes, orderSignatures, fleet.root)
  const order = parseDocument(orderParser, bytes, 'order', orderLimits)
  const root = fleet.version(order.root) ?? fleet.root
  const signed = whoSigned(namespaces.order, bytes, orderSignatures, root)
  const able = ['order', 'schedule'] as const
  if (able.every((role) => inRole(signed.by, role, order.notBefore).length === 0))
    throw notEnough(signed, 'order', root, 'order')
}

function checkChain(host: string, results: readonly HostResult[], { broken, notes }: Checked) {
  let last: NonNullable<HostResult['receipt']> | null = null
  for (const { receipt } of results) {
    if (!receipt) continue
    const { number, previous } = receipt
    const gap = number - (last?.number ?? 0) - 1
    const what = `receipt ${number} of ${host}`
    if (sha256Hex(receipt.bytes) !== receipt.digest)
      broken.push({ what, why: 'it was changed in this history' })
    else if (gap > 0)
      notes.push(
        `${host}: ${gap} receipts before number ${number} are not in this history (another service or another person)`,
      )
    else if (previous !== (last?.digest ?? null))
      broken.push({ what, why: 'it does not name the receipt before it' })
    last = receipt
  }
}
