import { asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { ReceiptsAnswer } from '../../shared/wire/api.ts'
import { openReceipt } from '../push/receipt.ts'
import type { Session } from '../push/session.ts'
import type { History } from './history.ts'

const parser = parserOf(ReceiptsAnswer)
const maxPages = 10_000

export type HostReceipts = ReceiptsAnswer['receipts']
export type Broken = { what: string; why: string }

/** All receipts of a host, oldest first. */
export async function readReceipts({ client }: Session): Promise<HostReceipts> {
  const all: HostReceipts = []
  for (let page = 0; page < maxPages; page++) {
    const { receipts } = await client.get(`/v1/receipts?after=${all.at(-1)?.number ?? 0}`, parser)
    if (receipts.length === 0) break
    all.push(...receipts)
  }
  return all
}

/**
 * Whether what a host shows as its history is whole, signed by its pinned key, and the same that it showed
 * before: to whoever pushed, and each time somebody compared. A host that was taken over can forge nothing
 * for others, and cannot take back what was seen.
 */
export function compareReceipts(
  host: string,
  receipts: HostReceipts,
  fleet: string,
  history: History,
): Broken[] {
  const broken: Broken[] = []
  const pinned = history.pinnedKey(fleet, host)
  for (const { receipt } of history.receiptsOf(host))
    if (receipt) history.witness(fleet, host, receipt.number, receipt.digest)
  const seen = history.lastWitnessed(fleet, host)
  let previous: string | null = null
  for (const [index, { number, bytes, signature }] of receipts.entries()) {
    const what = `receipt ${number} on ${host}`
    try {
      const { receipt, digest } = openReceipt(bytes, signature, host, pinned)
      const isNext = number === index + 1 && receipt.number === number
      if (!isNext) broken.push({ what, why: `${index + 1} is missing` })
      else if (receipt.previous !== previous)
        broken.push({ what, why: 'it does not name the receipt before it' })
      else if (history.witness(fleet, host, number, digest) !== digest)
        broken.push({ what, why: 'it is another one than was seen here before: the history was forked' })
      previous = digest
    } catch (error) {
      broken.push({ what, why: asDeployError(error).message })
    }
  }
  if (receipts.length < seen)
    broken.push({
      what: `the history of ${host}`,
      why: `it has ${receipts.length} receipts, ${seen} were seen here: the last ones are missing`,
    })
  return broken
}
