import { encodeDocument, sha256Hex } from '../shared/documents/document.ts'
import type { HistoryEntry, ServiceState } from '../shared/wire/api.ts'
import type { Journal } from './journal/journal.ts'
import type { Entry } from './journal/rows.ts'
import type { Address, ServiceManager } from './manager/manager.ts'
import type { Releases } from './store/releases.ts'
import type { Challenges } from './trust/challenges.ts'

const receiptsAtOnce = 500

/** What a host says of its services and of what was done to them. */
export class Reports {
  readonly #journal: Journal
  readonly #releases: Releases
  readonly #manager: ServiceManager
  readonly #challenges: Challenges

  readonly #now: () => string

  constructor(
    journal: Journal,
    releases: Releases,
    manager: ServiceManager,
    challenges: Challenges,
    now: () => string,
  ) {
    this.#now = now
    this.#journal = journal
    this.#releases = releases
    this.#manager = manager
    this.#challenges = challenges
  }

  /** @throws DeployError those of the manager */
  async service(name: string): Promise<ServiceState> {
    const { instances, addresses } = await this.#manager.status(name)
    const { seq, active, previous, environment } = this.#journal.service(name)
    const open = this.#journal.unfinished().find(({ service }) => service === name)
    return {
      service: name,
      seq,
      active,
      previous,
      version: active === null ? null : (this.#releases.find(active)?.manifest.version ?? null),
      environment: environment && sha256Hex(encodeDocument(environment)),
      instances: instances.map(({ slot, release, state, restarts }) => ({ slot, release, state, restarts })),
      addresses: Object.fromEntries(
        Object.entries(addresses).map(([key, value]) => [key, addressText(value)]),
      ),
      deploying: open ? { opId: open.opId, state: open.life.state } : null,
      challenge: this.#challenges.issue(name),
      frozen: this.#journal.frozen(name, this.#now()),
    }
  }

  history(service: string, before: number, limit: number): HistoryEntry[] {
    return this.#journal.history(service, before, limit).map((entry) => this.#historyEntry(entry))
  }

  #historyEntry(entry: Entry): HistoryEntry {
    const { opId, seq, action, release, began, ended, who, fingerprint, signatures, login, approvals } = entry
    const receipt = this.#journal.receiptOf(opId)
    return {
      opId,
      seq,
      action,
      release,
      version: this.#releases.find(release)?.manifest.version ?? null,
      state: entry.life.state,
      began,
      ended,
      who,
      fingerprint,
      login,
      approvals,
      order: entry.order.toString(),
      signatures,
      receipt: receipt && { bytes: receipt.bytes.toString(), signature: receipt.signature },
    }
  }

  receipts(after: number) {
    const rows = this.#journal.receiptsAfter(after, receiptsAtOnce)
    return {
      receipts: rows.map(({ number, bytes, signature }) => ({ number, bytes: bytes.toString(), signature })),
    }
  }
}

const addressText = (address: Address) =>
  'path' in address
    ? address.path
    : address.host.includes(':')
      ? `[${address.host}]:${address.port}`
      : `${address.host}:${address.port}`
