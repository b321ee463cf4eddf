import { DeployError } from '../../shared/errors.ts'
import type { Environment } from '../../shared/formats/order.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import type { Db } from '../../shared/database.ts'
import type { What } from '../push/what.ts'
import { isEnding, type HostAt, type Rollout } from '../rollout/machine.ts'

/** What a rollout is about; nothing of it changes while it goes on. */
export type RolloutDetails = {
  what: What
  environment: Environment
  confirmSeconds: number
  rehearse: boolean
  onUnreachable: 'fail' | 'skip'
  approvals: readonly SignedApproval[]
  /** Hosts that could not be reached when it began. */
  skipped: readonly string[]
}

/** What is known of a host besides its state: what it ran before, and the order that it was sent last. */
export type HostWork = { before: string | null; opId: string | null }

export type RolloutRecord = {
  rollout: Rollout
  details: RolloutDetails
  hosts: Record<string, HostWork>
}

/** A line of the list. */
export type RolloutSummary = {
  id: string
  began: string
  service: string
  environment: string
  release: string
  version: string
  state: Rollout['state']
  why: string | null
  /** Whether somebody on this machine drives it now. */
  isDriven: boolean
  hosts: Partial<Record<HostAt, number>>
}

export type RolloutCommand =
  | { do: 'pause' }
  | { do: 'resume' }
  | { do: 'retry' }
  | { do: 'abort'; undo: 'nothing' | 'batch' | 'all' }

type Life = Pick<Rollout, 'batch' | 'resumes' | 'halt' | 'why'>
type Row = Record<string, string | number | null>

/** A driver that has not said for so long that it lives is dead, in milliseconds. */
const deadAfterMs = 10_000

/** The controller's record of its rollouts; who drives one is here as well. */
export class Rollouts {
  readonly #db: Db
  readonly #now: () => number

  constructor(db: Db, now: () => number = Date.now) {
    this.#db = db
    this.#now = now
  }

  /** @param driver who drives it: a name that nobody else has; null for nobody */
  create({ rollout, details, hosts }: RolloutRecord, driver: string | null): void {
    const { id, began } = rollout.plan
    const { service, release, version } = details.what
    const insert = this.#db.prepare('INSERT INTO rollout_hosts VALUES (?, ?, ?, ?, ?)')
    const all = this.#db.transaction(() => {
      this.#db
        .prepare(
          `INSERT INTO rollouts VALUES (@id, @began, @service, @environment, @release, @version, @details, @plan,
           @state, @life, @driver, @beat, NULL)`,
        )
        .run({
          id,
          began,
          service,
          environment: details.environment.name,
          release,
          version,
          details: JSON.stringify(details),
          plan: JSON.stringify(rollout.plan),
          state: rollout.state,
          life: JSON.stringify(lifeOf(rollout)),
          driver,
          beat: this.#now(),
        })
      for (const [host, at] of Object.entries(rollout.hosts))
        insert.run(id, host, at, hosts[host]?.before ?? null, hosts[host]?.opId ?? null)
    })
    all.immediate()
  }

  /**
   * What changed from one state to the next, if `driver` still drives it.
   * @param orders ids of orders that are about to be sent, by host
   * @throws DeployError E_ROLLOUT_TAKEN
   */
  save(before: Rollout, next: Rollout, driver: string, orders: ReadonlyMap<string, string>): void {
    const { id } = next.plan
    const ended = isEnding(next.state) ? new Date(this.#now()).toISOString() : null
    const host = this.#db.prepare(
      'UPDATE rollout_hosts SET at = ?, op_id = coalesce(?, op_id) WHERE id = ? AND host = ?',
    )
    const all = this.#db.transaction(() => {
      const { changes } = this.#db
        .prepare('UPDATE rollouts SET state = ?, life = ?, ended = ?, beat = ? WHERE id = ? AND driver = ?')
        .run(next.state, JSON.stringify(lifeOf(next)), ended, this.#now(), id, driver)
      if (changes !== 1) throw new DeployError('E_ROLLOUT_TAKEN', { id: id.slice(0, 8) })
      for (const [name, at] of Object.entries(next.hosts))
        if (at !== before.hosts[name]) host.run(at, orders.get(name) ?? null, id, name)
    })
    all.immediate()
  }

  /** Says that the driver lives. @returns false when somebody else drives it now */
  beat(id: string, driver: string): boolean {
    const set = this.#db.prepare('UPDATE rollouts SET beat = ? WHERE id = ? AND driver = ?')
    return set.run(this.#now(), id, driver).changes === 1
  }

  /** Becomes the driver. @param even whether also instead of one that lives @returns false when one lives */
  take(id: string, driver: string, even = false): boolean {
    const { changes } = this.#db
      .prepare('UPDATE rollouts SET driver = ?, beat = ? WHERE id = ? AND (? OR driver IS NULL OR beat < ?)')
      .run(driver, this.#now(), id, even ? 1 : 0, this.#now() - deadAfterMs)
    return changes === 1
  }

  /** Nobody drives it any more. */
  leave(id: string, driver: string): void {
    this.#db.prepare('UPDATE rollouts SET driver = NULL WHERE id = ? AND driver = ?').run(id, driver)
  }

  isDriven(id: string): boolean {
    const row = this.#db.prepare<unknown[], Row>('SELECT driver, beat FROM rollouts WHERE id = ?').get(id)
    return row !== undefined && this.#lives(row)
  }

  #lives = ({ driver, beat }: Row) => driver !== null && Number(beat) >= this.#now() - deadAfterMs

  /** Ids that begin so. */
  find(prefix: string): string[] {
    return this.#db
      .prepare<unknown[], { id: string }>(
        'SELECT id FROM rollouts WHERE substr(id, 1, length(?)) = ? LIMIT 10',
      )
      .all(prefix, prefix)
      .map(({ id }) => id)
  }

  load(id: string): RolloutRecord | null {
    const row = this.#db.prepare<unknown[], Row>('SELECT * FROM rollouts WHERE id = ?').get(id)
    if (!row) return null
    const hosts = this.#db
      .prepare<unknown[], Row>('SELECT host, at, before, op_id AS opId FROM rollout_hosts WHERE id = ?')
      .all(id)
    // The rows come from our own STRICT tables, so their types are those of the columns.
    const life = JSON.parse(String(row['life'])) as Life
    const at = Object.fromEntries(hosts.map((one) => [one['host'], one['at']]))
    const work = hosts.map(({ host, before, opId }) => [host, { before, opId }])
    return {
      rollout: {
        ...life,
        plan: JSON.parse(String(row['plan'])) as RolloutPlan,
        state: row['state'] as Rollout['state'],
        hosts: at as Rollout['hosts'],
      },
      details: JSON.parse(String(row['details'])) as RolloutDetails,
      hosts: Object.fromEntries(work) as RolloutRecord['hosts'],
    }
  }

  /** Newest first. @param service null for all, as is environment */
  list(service: string | null, environment: string | null, limit: number): RolloutSummary[] {
    const rows = this.#db
      .prepare<unknown[], Row>(
        `SELECT id, began, service, environment, release, version, state, life, driver, beat FROM rollouts
         WHERE (@service IS NULL OR service = @service) AND (@environment IS NULL OR environment = @environment)
         ORDER BY began DESC, rowid DESC LIMIT @limit`,
      )
      .all({ service, environment, limit })
    const counts = this.#db.prepare<unknown[], { at: HostAt; count: number }>(
      'SELECT at, count(*) AS count FROM rollout_hosts WHERE id = ? GROUP BY at',
    )
    return rows.map((row) => {
      const { id, began, service: of, environment: where, release, version, state } = row
      const { why } = JSON.parse(String(row['life'])) as Life
      const hosts = Object.fromEntries(counts.all(id).map(({ at, count }) => [at, count]))
      const known = { id, began, service: of, environment: where, release, version, state, why, hosts }
      return { ...known, isDriven: this.#lives(row) } as RolloutSummary
    })
  }

  /** Told to whoever drives it. */
  command(id: string, command: RolloutCommand): void {
    this.#db
      .prepare('INSERT INTO rollout_commands (id, command, at) VALUES (?, ?, ?)')
      .run(id, JSON.stringify(command), new Date(this.#now()).toISOString())
  }

  /** What its driver was told since it last asked. */
  takeCommands(id: string): RolloutCommand[] {
    const rows = this.#db
      .prepare<unknown[], { n: number; command: string }>(
        'SELECT n, command FROM rollout_commands WHERE id = ? ORDER BY n',
      )
      .all(id)
    if (rows.length > 0)
      this.#db.prepare('DELETE FROM rollout_commands WHERE id = ? AND n <= ?').run(id, rows.at(-1)?.n)
    return rows.map(({ command }) => JSON.parse(command) as RolloutCommand)
  }

  addEvents(id: string, events: readonly { at: string; event: unknown }[]): void {
    const insert = this.#db.prepare(
      'INSERT INTO rollout_events SELECT @id, coalesce(max(n), 0) + 1, @at, @event FROM rollout_events WHERE id = @id',
    )
    const all = this.#db.transaction(() => {
      for (const { at, event } of events) insert.run({ id, at, event: JSON.stringify(event) })
    })
    if (events.length > 0) all.immediate()
  }

  /** In their order; `n` counts from 1. */
  eventsAfter(id: string, after: number): { n: number; at: string; event: unknown }[] {
    return this.#db
      .prepare<unknown[], { n: number; at: string; event: string }>(
        'SELECT n, at, event FROM rollout_events WHERE id = ? AND n > ? ORDER BY n',
      )
      .all(id, after)
      .map(({ n, at, event }) => ({ n, at, event: JSON.parse(event) as unknown }))
  }
}

const lifeOf = ({ batch, resumes, halt, why }: Rollout): Life => ({ batch, resumes, halt, why })
