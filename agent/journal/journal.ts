import { DeployError } from '../../shared/errors.ts'
import type { DeploymentEvent } from '../../shared/wire/api.ts'
import type { FreezePeriod, Frozen } from '../../shared/formats/freeze.ts'
import type { Strategy } from '../../shared/formats/receipt.ts'
import { received, type Deployment, type Ending } from '../activate/machine.ts'
import { openDatabase, type Db } from '../../shared/database.ts'
import { migrations } from './migrations.ts'
import {
  entryOf,
  serviceOf,
  type Begin,
  type Entry,
  type FreezeRow,
  type ReceiptRow,
  type Row,
  type ServiceRow,
} from './rows.ts'

/**
 * The host's own record. Each method is one transaction, durable when it returns; a state is written
 * here before its effect, so that whatever dies, the next start knows what to finish or undo.
 */
export class Journal implements Disposable {
  readonly #db: Db
  readonly #makeRoom: () => void

  /** @param makeRoom called when the disk is full, before the one further try */
  constructor(file: string, makeRoom: () => void = () => {}) {
    this.#db = openDatabase(file, migrations)
    this.#makeRoom = makeRoom
  }

  /** One durable transaction, tried again after ballast was thrown: a full disk must not stop a rollback. */
  #write<T>(change: () => T): T {
    const transaction = this.#db.transaction(change)
    try {
      return transaction.immediate()
    } catch (error) {
      if (!isFull(error)) throw error
      this.#makeRoom()
      return transaction.immediate()
    }
  }

  service(name: string): ServiceRow {
    const row = this.#db.prepare<unknown[], Row>('SELECT * FROM services WHERE name = ?').get(name)
    return row
      ? serviceOf(row)
      : { name, seq: 0, active: null, previous: null, environment: null, slot: null, inUse: [] }
  }

  services(): ServiceRow[] {
    return this.#db.prepare<unknown[], Row>('SELECT * FROM services ORDER BY name').all().map(serviceOf)
  }

  /**
   * Begins a deployment if its order is the next one: no lock, since of two orders one comes first.
   * @throws DeployError E_ORDER_REPLAYED, E_BUSY, E_ORDER_SEQ, E_ORDER_PREV; then nothing is changed
   */
  begin(order: Begin): Entry {
    this.#write(() => this.#begin(order))
    return { ...order, life: received, ended: null, strategy: null }
  }

  #begin(order: Begin) {
    const known = this.#db.prepare('SELECT 1 FROM deployments WHERE op_id = ?').get(order.opId)
    if (known) throw new DeployError('E_ORDER_REPLAYED', { opId: order.opId })
    const busy = this.unfinished().find(({ service }) => service === order.service)
    if (busy)
      throw new DeployError('E_BUSY', { service: order.service, opId: busy.opId, state: busy.life.state })
    const { seq, active } = this.service(order.service)
    if (order.seq !== seq + 1)
      throw new DeployError('E_ORDER_SEQ', {
        expected: seq + 1,
        given: order.seq,
        who: this.#whoWas(order.service),
      })
    if (order.prev !== active)
      throw new DeployError('E_ORDER_PREV', {
        expected: active ?? 'nothing',
        given: order.prev ?? 'nothing',
        who: this.#whoWas(order.service),
      })
    this.#db
      .prepare(
        'INSERT INTO services (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq',
      )
      .run(order.service, order.seq)
    this.#db
      .prepare(
        `INSERT INTO deployments VALUES (@opId, @service, @seq, @action, @release, @prev, @environment, @slot, @began,
         @bootId, @who, @fingerprint, @order, @signatures, @state, @life, NULL, @login, @approvals, NULL)`,
      )
      .run({
        ...order,
        environment: JSON.stringify(order.environment),
        signatures: JSON.stringify(order.signatures),
        login: JSON.stringify(order.login),
        approvals: JSON.stringify(order.approvals),
        state: received.state,
        life: JSON.stringify(received),
      })
  }

  #whoWas(service: string): string {
    const last = this.#db
      .prepare<unknown[], { who: string; began: string }>(
        'SELECT who, began FROM deployments WHERE service = ? ORDER BY seq DESC LIMIT 1',
      )
      .get(service)
    return last ? `The last order was ${last.who}'s, at ${last.began}.` : ''
  }

  /** Records the next state of a deployment that has not ended. */
  advance(opId: string, life: Deployment): void {
    this.#write(() => this.#advance(opId, life))
  }

  #advance(opId: string, life: Deployment) {
    const { changes } = this.#db
      .prepare('UPDATE deployments SET state = ?, life = ? WHERE op_id = ? AND ended IS NULL')
      .run(life.state, JSON.stringify(life), opId)
    if (changes !== 1) throw new DeployError('E_STORE', { why: `there is no open deployment ${opId}` })
  }

  /** Ends a deployment: its last state, what runs now, and the signed receipt, all or nothing. */
  end(
    opId: string,
    life: Deployment & { state: Ending },
    ended: string,
    receipt: Omit<ReceiptRow, 'opId'>,
  ): void {
    this.#write(() => {
      this.#advance(opId, life)
      this.#db.prepare('UPDATE deployments SET ended = ? WHERE op_id = ?').run(ended, opId)
      if (life.state === 'committed')
        this.#db
          .prepare(
            `UPDATE services SET previous = @previous, active = d.release, environment = d.environment, slot = d.slot
             FROM deployments AS d WHERE d.op_id = @opId AND name = d.service`,
          )
          .run({ opId, previous: this.#previousAfter(opId) })
      this.#db
        .prepare('INSERT INTO receipts VALUES (@number, @opId, @bytes, @signature, @digest)')
        .run({ ...receipt, opId })
    })
  }

  /**
   * Where a service would go back to once this deployment is committed: to what it replaces; after a
   * rollback, to what ran before the release that it goes back to. What was bad is nothing to go back to.
   */
  #previousAfter(opId: string): string | null {
    const row = this.#db
      .prepare<unknown[], { previous: string | null }>(
        `SELECT iif(d.action = 'rollback',
           (SELECT prev FROM deployments AS came WHERE came.service = d.service AND came.seq < d.seq
              AND came.release = d.release AND came.state = 'committed' AND came.action = 'deploy'
            ORDER BY seq DESC LIMIT 1),
           s.active) AS previous
         FROM deployments AS d JOIN services AS s ON s.name = d.service WHERE d.op_id = ?`,
      )
      .get(opId)
    return row?.previous ?? null
  }

  /** How a deployment is carried out, and where: decided once, also for an agent that finishes it later. */
  choose(opId: string, strategy: Strategy, slot: 'a' | 'b'): void {
    this.#write(() =>
      this.#db
        .prepare('UPDATE deployments SET strategy = ?, slot = ? WHERE op_id = ?')
        .run(strategy, slot, opId),
    )
  }

  /** Releases that the running program may still read, besides the one that is committed. */
  noteInUse(service: string, releases: readonly string[]): void {
    const text = JSON.stringify(releases)
    this.#write(() => this.#db.prepare('UPDATE services SET in_use = ? WHERE name = ?').run(text, service))
  }

  /** The committed release of a service runs in another slot from now on. */
  relocate(service: string, slot: 'a' | 'b'): void {
    this.#write(() => this.#db.prepare('UPDATE services SET slot = ? WHERE name = ?').run(slot, service))
  }

  /** A signed freeze, or the end of one. @throws DeployError E_ORDER_REPLAYED */
  freeze(freeze: FreezeRow): void {
    this.#write(() => {
      const known = this.#db.prepare('SELECT 1 FROM freezes WHERE op_id = ?').get(freeze.opId)
      if (known) throw new DeployError('E_ORDER_REPLAYED', { opId: freeze.opId })
      this.#db
        .prepare(
          'INSERT INTO freezes VALUES (@opId, @service, @until, @reason, @who, @fingerprint, @at, @order, @signatures, @periods)',
        )
        .run({
          ...freeze,
          signatures: JSON.stringify(freeze.signatures),
          periods: freeze.periods && JSON.stringify(freeze.periods),
        })
    })
  }

  /** Until when a service is frozen, if it is at this instant: the last word counts, and the last calendar. */
  frozen(service: string, now: string): Frozen | null {
    type Word = { until: string | null; who: string; reason: string; periods: string | null }
    const last = (isCalendar: boolean) =>
      this.#db
        .prepare<unknown[], Word>(
          `SELECT until, who, reason, periods FROM freezes WHERE service = ? AND (periods IS NOT NULL) = ?
           ORDER BY rowid DESC LIMIT 1`,
        )
        .get(service, isCalendar ? 1 : 0)
    const word = last(false)
    if (word?.until && word.until > now) return { until: word.until, who: word.who, reason: word.reason }
    const calendar = last(true)
    // Written by ourselves, after its schema was checked.
    const periods = JSON.parse(calendar?.periods ?? '[]') as FreezePeriod[]
    const found = periods.find(({ from, until }) => from <= now && now < until)
    return found && calendar ? { until: found.until, who: calendar.who, reason: found.reason } : null
  }

  /** What a starting agent has to finish or undo, oldest first. */
  unfinished(): Entry[] {
    const rows = this.#db
      .prepare<unknown[], Row>('SELECT * FROM deployments WHERE ended IS NULL ORDER BY rowid')
      .all()
    return rows.map(entryOf)
  }

  /** When the last order of all was accepted, by the clock of then; null before the first. */
  lastBegan(): string | null {
    const row = this.#db
      .prepare<unknown[], { last: string | null }>(
        'SELECT max(last) AS last FROM (SELECT max(began) AS last FROM deployments UNION ALL SELECT max(at) FROM freezes)',
      )
      .get()
    return row?.last ?? null
  }

  /** Newest first, below sequence number `before`. */
  history(service: string, before: number, limit: number): Entry[] {
    const rows = this.#db
      .prepare<unknown[], Row>(
        'SELECT * FROM deployments WHERE service = ? AND seq < ? ORDER BY seq DESC LIMIT ?',
      )
      .all(service, before, limit)
    return rows.map(entryOf)
  }

  /** Appends an event and gives it its number, from 1. */
  addEvent(opId: string, at: string, type: string, data: Record<string, unknown>): DeploymentEvent {
    const insert = this.#db.prepare<unknown[], { n: number }>(
      `INSERT INTO events SELECT @opId, coalesce(max(n), 0) + 1, @at, @type, @data FROM events WHERE op_id = @opId
         RETURNING n`,
    )
    const row = this.#write(() => insert.get({ opId, at, type, data: JSON.stringify(data) }))
    return { n: row?.n ?? 0, at, type, data }
  }

  eventsAfter(opId: string, after: number): DeploymentEvent[] {
    const rows = this.#db
      .prepare<unknown[], Row>('SELECT n, at, type, data FROM events WHERE op_id = ? AND n > ? ORDER BY n')
      .all(opId, after)
    return rows.map(
      (row) => ({ ...row, data: JSON.parse(String(row['data'])) as unknown }) as DeploymentEvent,
    )
  }

  receiptOf(opId: string): ReceiptRow | null {
    const row = this.#db
      .prepare<unknown[], ReceiptRow>(
        'SELECT number, op_id AS opId, bytes, signature, digest FROM receipts WHERE op_id = ?',
      )
      .get(opId)
    return row ?? null
  }

  receiptsAfter(number: number, limit: number): ReceiptRow[] {
    return this.#db
      .prepare<unknown[], ReceiptRow>(
        'SELECT number, op_id AS opId, bytes, signature, digest FROM receipts WHERE number > ? ORDER BY number LIMIT ?',
      )
      .all(number, limit)
  }

  lastReceipt(): ReceiptRow | null {
    const row = this.#db
      .prepare<unknown[], ReceiptRow>(
        'SELECT number, op_id AS opId, bytes, signature, digest FROM receipts ORDER BY number DESC LIMIT 1',
      )
      .get()
    return row ?? null
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

const isFull = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'SQLITE_FULL'
