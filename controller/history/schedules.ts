import type { Db } from '../../shared/database.ts'
import { DeployError } from '../../shared/errors.ts'
import type { Coming, RunState } from '../schedule/due.decide.ts'
import type { Schedule } from '../schedule/schedule-schema.ts'

/** One slot of a schedule and what became of it. Times are in milliseconds. */
export type ScheduleRun = {
  schedule: string
  slot: number
  state: RunState
  begins: number
  why: string | null
  /** Id of the rollout that it is, chosen before that begins. */
  rollout: string | null
  began: number | null
  ended: number | null
}

export type KnownSchedule = { spec: Schedule; added: string; seenMs: number }

/** A process that has not said for so long that it works on a run is dead, in milliseconds. */
const deadAfterMs = 10_000
const columns = 'schedule, slot, state, begins, why, rollout, began, ended'

/** Schedules and their slots. That (schedule, slot) is unique is what keeps a slot from being run twice. */
export class Schedules {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** @throws DeployError E_SCHEDULE_EXISTS */
  add(spec: Schedule, nowMs: number): void {
    const { changes } = this.#db
      .prepare('INSERT OR IGNORE INTO schedules VALUES (?, ?, ?, ?)')
      .run(spec.name, JSON.stringify(spec), new Date(nowMs).toISOString(), nowMs)
    if (changes === 0) throw new DeployError('E_SCHEDULE_EXISTS', { name: spec.name })
  }

  /** @throws DeployError E_SCHEDULE_UNKNOWN */
  change(spec: Schedule): void {
    this.get(spec.name)
    this.#db.prepare('UPDATE schedules SET spec = ? WHERE name = ?').run(JSON.stringify(spec), spec.name)
  }

  /** What it did stays in the history. @throws DeployError E_SCHEDULE_UNKNOWN */
  remove(name: string): void {
    this.get(name)
    this.#db.prepare('DELETE FROM schedules WHERE name = ?').run(name)
  }

  /** @throws DeployError E_SCHEDULE_UNKNOWN */
  get(name: string): KnownSchedule {
    const found = this.all().find(({ spec }) => spec.name === name)
    if (found) return found
    const known = this.all().map(({ spec }) => spec.name)
    throw new DeployError('E_SCHEDULE_UNKNOWN', { name, known: known.join(', ') || 'none yet' })
  }

  all(): KnownSchedule[] {
    return this.#db
      .prepare<unknown[], { spec: string; added: string; seen: number }>(
        'SELECT spec, added, seen FROM schedules ORDER BY name',
      )
      .all()
      .map(({ spec, added, seen }) => ({ spec: JSON.parse(spec) as Schedule, added, seenMs: seen }))
  }

  /** Slots that have come, each once for all time, whoever sees it first; and up to where the clock was seen. */
  note(name: string, coming: readonly Coming[], seenMs: number): void {
    const insert = this.#db.prepare(
      'INSERT OR IGNORE INTO schedule_runs (schedule, slot, state, begins, why, ended) VALUES (?, ?, ?, ?, ?, ?)',
    )
    const all = this.#db.transaction(() => {
      for (const one of coming)
        if (one.state === 'waiting') insert.run(name, one.slot, one.state, one.begins, null, null)
        else insert.run(name, one.slot, one.state, one.slot, one.why, seenMs)
      this.#db.prepare('UPDATE schedules SET seen = ? WHERE name = ?').run(seenMs, name)
    })
    all.immediate()
  }

  /** A run that somebody asked for. @returns its slot */
  ask(name: string, nowMs: number): number {
    this.get(name)
    let slot = nowMs
    // The clock may show an instant twice.
    while (this.run(name, slot)) slot += 1
    this.#db
      .prepare('INSERT INTO schedule_runs (schedule, slot, state, begins) VALUES (?, ?, ?, ?)')
      .run(name, slot, 'waiting', nowMs)
    return slot
  }

  /** Runs that wait, are under way, or were when their process died. */
  open(): ScheduleRun[] {
    return this.#db
      .prepare<unknown[], ScheduleRun>(
        `SELECT ${columns} FROM schedule_runs WHERE state IN ('waiting', 'running') ORDER BY slot`,
      )
      .all()
  }

  /**
   * Becomes the one who carries it out: one that waits, or one whose process died.
   * @param rollout the id that its rollout gets, unless it has one
   * @returns the run as it is now; null when somebody else has it
   */
  take(
    { schedule, slot }: Pick<ScheduleRun, 'schedule' | 'slot'>,
    owner: string,
    rollout: string,
    nowMs: number,
  ) {
    const { changes } = this.#db
      .prepare(
        `UPDATE schedule_runs SET state = 'running', owner = @owner, beat = @nowMs,
           rollout = coalesce(rollout, @rollout), began = coalesce(began, @nowMs)
         WHERE schedule = @schedule AND slot = @slot
           AND (state = 'waiting' OR (state = 'running' AND abs(@nowMs - beat) > @deadAfterMs))`,
      )
      .run({ schedule, slot, owner, rollout, nowMs, deadAfterMs })
    return changes === 1 ? this.run(schedule, slot) : null
  }

  beat({ schedule, slot }: Pick<ScheduleRun, 'schedule' | 'slot'>, owner: string, nowMs: number): void {
    this.#db
      .prepare('UPDATE schedule_runs SET beat = ? WHERE schedule = ? AND slot = ? AND owner = ?')
      .run(nowMs, schedule, slot, owner)
  }

  /** @param owner who carried it out; what somebody else has taken meanwhile is theirs. Null: whoever it was */
  end(
    { schedule, slot }: Pick<ScheduleRun, 'schedule' | 'slot'>,
    state: Exclude<RunState, 'waiting' | 'running'>,
    why: string | null,
    nowMs: number,
    owner: string | null = null,
  ): void {
    this.#db
      .prepare(
        `UPDATE schedule_runs SET state = @state, why = @why, ended = @nowMs, owner = NULL
         WHERE schedule = @schedule AND slot = @slot AND state IN ('waiting', 'running')
           AND (@owner IS NULL OR owner = @owner)`,
      )
      .run({ schedule, slot, state, why, nowMs, owner })
  }

  run(schedule: string, slot: number): ScheduleRun | null {
    const row = this.#db
      .prepare<unknown[], ScheduleRun>(`SELECT ${columns} FROM schedule_runs WHERE schedule = ? AND slot = ?`)
      .get(schedule, slot)
    return row ?? null
  }

  /** Newest first. @param name null for all */
  runs(name: string | null, limit: number): ScheduleRun[] {
    return this.#db
      .prepare<unknown[], ScheduleRun>(
        `SELECT ${columns} FROM schedule_runs WHERE (? IS NULL OR schedule = ?) ORDER BY slot DESC LIMIT ?`,
      )
      .all(name, name, limit)
  }
}
