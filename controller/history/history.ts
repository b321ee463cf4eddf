import type { Provenance } from '../../shared/formats/manifest.ts'
import type { Receipt } from '../../shared/formats/receipt.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import { openDatabase, type Db } from '../../shared/database.ts'
import { migrations } from './migrations.ts'
import { Access } from './access.ts'
import { HostStates } from './host-states.ts'
import { PublishedReleases } from './published.ts'
import { Rollouts } from './rollouts.ts'
import { Search } from './search.ts'
import { Schedules } from './schedules.ts'

/** One order that this controller signed, on all its hosts. */
export type Push = {
  opId: string
  at: string
  action: string
  service: string
  environment: string
  release: string
  version: string
  /** Of what the release was made; null where that is not known. */
  provenance: Provenance | null
  approvals: readonly SignedApproval[]
  signer: string
  fingerprint: string
  reason: string
  order: Buffer
  orderSignatures: string[]
  /** Id of the rollout that it is a part of. */
  rollout: string | null
}

/** What became of it on one host; without a receipt the result is what the controller saw. */
export type HostResult = {
  opId: string
  host: string
  result: Receipt['result'] | 'unknown'
  strategy: string
  reasons: string[]
  steps: Receipt['steps']
  error: Receipt['error']
  ended: string
  receipt: {
    bytes: Buffer
    signature: string
    digest: string
    previous: string | null
    number: number
  } | null
}

type PushRow = Record<string, string | number | Buffer | null>

/** The controller's own record. The hosts' journals are the truth; this can be rebuilt from them. */
export class History implements Disposable {
  readonly #db: Db
  readonly rollouts: Rollouts
  readonly schedules: Schedules
  readonly published: PublishedReleases
  readonly hostStates: HostStates
  readonly access: Access
  readonly search: Search

  constructor(file: string) {
    this.#db = openDatabase(file, migrations)
    this.rollouts = new Rollouts(this.#db)
    this.schedules = new Schedules(this.#db)
    this.published = new PublishedReleases(this.#db)
    this.hostStates = new HostStates(this.#db)
    this.access = new Access(this.#db)
    this.search = new Search(this.#db)
  }

  /** Written before the order is sent, so that a push that dies can be found again. */
  recordPush(push: Push): void {
    this.#db
      .prepare(
        `INSERT INTO pushes VALUES (@opId, @at, @action, @service, @environment, @release, @version, @commit,
         @dirty, @signer, @fingerprint, @reason, @order, @orderSignatures, @provenance, @approvals, @rollout)`,
      )
      .run({
        ...push,
        commit: push.provenance?.commit ?? null,
        dirty: Number(push.provenance?.dirty ?? false),
        orderSignatures: JSON.stringify(push.orderSignatures),
        provenance: push.provenance && JSON.stringify(push.provenance),
        approvals: JSON.stringify(push.approvals),
      })
  }

  /** A later answer of the same host (a receipt after an unknown end) replaces the earlier one. */
  recordResult(result: HostResult): void {
    const { receipt } = result
    this.#db
      .prepare(
        `INSERT OR REPLACE INTO host_results VALUES (@opId, @host, @result, @strategy, @reasons, @steps, @error,
         @ended, @bytes, @signature, @digest, @previous, @number)`,
      )
      .run({
        ...result,
        reasons: JSON.stringify(result.reasons),
        steps: JSON.stringify(result.steps),
        error: result.error && JSON.stringify(result.error),
        bytes: receipt?.bytes ?? null,
        signature: receipt?.signature ?? null,
        digest: receipt?.digest ?? null,
        previous: receipt?.previous ?? null,
        number: receipt?.number ?? null,
      })
  }

  /** Newest first. */
  pushes(service: string, environment: string | null, limit: number): Push[] {
    const rows = this.#db
      .prepare<unknown[], PushRow>(
        `SELECT * FROM pushes WHERE service = ? AND (? IS NULL OR environment = ?) ORDER BY at DESC, rowid DESC LIMIT ?`,
      )
      .all(service, environment, environment, limit)
    return rows.map(pushOf)
  }

  push(opId: string): Push | null {
    const row = this.#db.prepare<unknown[], PushRow>('SELECT * FROM pushes WHERE op_id = ?').get(opId)
    return row ? pushOf(row) : null
  }

  /** All of it is durable, or none. */
  atOnce<T>(change: () => T): T {
    return this.#db.transaction(change).immediate()
  }

  results(opId: string): HostResult[] {
    const rows = this.#db
      .prepare<unknown[], PushRow>('SELECT * FROM host_results WHERE op_id = ? ORDER BY host')
      .all(opId)
    return rows.map(resultOf)
  }

  /** The release a host got last, deployed or only uploaded: what the next is told as a difference to. */
  lastKnown(host: string, service: string): string | null {
    const row = this.#db
      .prepare<unknown[], { release: string }>('SELECT release FROM on_hosts WHERE host = ? AND service = ?')
      .get(host, service)
    return row?.release ?? null
  }

  noteOnHost(host: string, service: string, release: string): void {
    this.#db.prepare('INSERT OR REPLACE INTO on_hosts VALUES (?, ?, ?)').run(host, service, release)
  }

  /** All receipts of a host in the order of its own count, for checking the chain. */
  receiptsOf(host: string): HostResult[] {
    const rows = this.#db
      .prepare<unknown[], PushRow>(
        'SELECT * FROM host_results WHERE host = ? AND number IS NOT NULL ORDER BY number',
      )
      .all(host)
    return rows.map(resultOf)
  }

  /** Pins a host's receipt key at first sight; gives the key that is pinned. */
  pinHost(fleet: string, name: string, receiptKey: string, at: string): string {
    this.#db.prepare('INSERT OR IGNORE INTO hosts VALUES (?, ?, ?, ?)').run(fleet, name, receiptKey, at)
    return this.pinnedKey(fleet, name) ?? receiptKey
  }

  pinnedKey(fleet: string, name: string): string | null {
    const row = this.#db
      .prepare<unknown[], { receipt_key: string }>(
        'SELECT receipt_key FROM hosts WHERE fleet = ? AND name = ?',
      )
      .get(fleet, name)
    return row?.receipt_key ?? null
  }

  /** The digest of a host's receipt as it was first seen here; remembered when it is new. */
  witness(fleet: string, host: string, number: number, digest: string): string {
    this.#db.prepare('INSERT OR IGNORE INTO witnessed VALUES (?, ?, ?, ?)').run(fleet, host, number, digest)
    const row = this.#db
      .prepare<unknown[], { digest: string }>(
        'SELECT digest FROM witnessed WHERE fleet = ? AND host = ? AND number = ?',
      )
      .get(fleet, host, number)
    return row?.digest ?? digest
  }

  /** How many of a host's receipts were seen. */
  lastWitnessed(fleet: string, host: string): number {
    const row = this.#db
      .prepare<unknown[], { last: number | null }>(
        'SELECT max(number) AS last FROM witnessed WHERE fleet = ? AND host = ?',
      )
      .get(fleet, host)
    return row?.last ?? 0
  }

  unpinHost(fleet: string, name: string): void {
    this.#db.prepare('DELETE FROM hosts WHERE fleet = ? AND name = ?').run(fleet, name)
    this.#db.prepare('DELETE FROM witnessed WHERE fleet = ? AND host = ?').run(fleet, name)
  }

  /** Manifests seen before, kept as bases for sending the next one as a difference. */
  keepManifest(digest: string, bytes: Buffer, signatures: string[]): void {
    this.#db
      .prepare('INSERT OR IGNORE INTO manifests VALUES (?, ?, ?)')
      .run(digest, bytes, JSON.stringify(signatures))
  }

  manifest(digest: string): { bytes: Buffer; signatures: string[] } | null {
    const row = this.#db
      .prepare<unknown[], { bytes: Buffer; signatures: string }>(
        'SELECT bytes, signatures FROM manifests WHERE digest = ?',
      )
      .get(digest)
    return row ? { bytes: row.bytes, signatures: JSON.parse(row.signatures) as string[] } : null
  }

  /**
   * Forgets what is only of use while it is young: events of rollouts that ended before, answers to schedules,
   * calls of the API. Orders and receipts are kept for ever.
   * @returns how many rows
   */
  prune(before: string): number {
    const ms = Date.parse(before)
    const statements = [
      ['DELETE FROM rollout_events WHERE id IN (SELECT id FROM rollouts WHERE ended < ?)', before],
      ['DELETE FROM schedule_runs WHERE ended < ?', ms],
      ['DELETE FROM audit WHERE at < ?', before],
    ] as const
    return this.atOnce(() =>
      statements.reduce((sum, [sql, limit]) => sum + this.#db.prepare(sql).run(limit).changes, 0),
    )
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

// The rows come from our own STRICT tables, so their types are those of the columns.
function pushOf(row: PushRow): Push {
  const {
    op_id: opId,
    commit_id: _commit,
    dirty: _dirty,
    provenance,
    approvals,
    order_bytes: order,
    order_signatures: signatures,
    ...rest
  } = row
  return {
    ...rest,
    opId,
    provenance: provenance === null ? null : (JSON.parse(String(provenance)) as Provenance),
    approvals: JSON.parse(String(approvals)) as SignedApproval[],
    order,
    orderSignatures: JSON.parse(String(signatures)) as string[],
  } as unknown as Push
}

function resultOf(row: PushRow): HostResult {
  const { op_id, host, result, strategy, reasons, steps, error, ended } = row
  const { receipt, signature, digest, previous, number } = row
  return {
    opId: op_id,
    host,
    result,
    strategy,
    reasons: JSON.parse(String(reasons)) as string[],
    steps: JSON.parse(String(steps)) as Receipt['steps'],
    error: error === null ? null : (JSON.parse(String(error)) as Receipt['error']),
    ended,
    receipt: receipt === null ? null : { bytes: receipt, signature, digest, previous, number },
  } as HostResult
}
