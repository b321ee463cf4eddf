import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Receipt } from '../../shared/formats/receipt.ts'
import type { Host } from '../host.ts'
import type { Journal } from '../journal/journal.ts'
import type { Deployment, Ending } from './machine.ts'

export type Conclusion = Pick<
  Receipt,
  | 'opId'
  | 'order'
  | 'service'
  | 'release'
  | 'active'
  | 'strategy'
  | 'reasons'
  | 'error'
  | 'began'
  | 'ended'
  | 'steps'
  | 'drain'
  | 'login'
>

/** Ends deployments with a signed receipt, one after the other: each names the one before it. */
export class Receipts {
  readonly #host: Host
  readonly #journal: Journal
  #turn: Promise<unknown> = Promise.resolve()

  constructor(host: Host, journal: Journal) {
    this.#host = host
    this.#journal = journal
  }

  conclude(life: Deployment & { state: Ending }, conclusion: Conclusion): Promise<void> {
    const next = this.#turn.then(() => this.#conclude(life, conclusion))
    this.#turn = next.catch(() => {})
    return next
  }

  async #conclude(life: Deployment & { state: Ending }, conclusion: Conclusion) {
    const last = this.#journal.lastReceipt()
    const receipt: Receipt = {
      spec: 'deployctl/receipt/v1',
      fleet: this.#host.roots.root.fleet,
      host: this.#host.name,
      number: (last?.number ?? 0) + 1,
      ...conclusion,
      result: life.state,
      previous: last?.digest ?? null,
    }
    const bytes = encodeDocument(receipt)
    const signature = await this.#host.signer.sign(namespaces.receipt, bytes)
    this.#journal.end(conclusion.opId, life, conclusion.ended, {
      number: receipt.number,
      bytes,
      signature,
      digest: sha256Hex(bytes),
    })
  }
}
