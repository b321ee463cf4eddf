import { createHash, randomUUID } from 'node:crypto'
import cron from 'node-cron'
import { asDeployError } from '../../shared/errors.ts'
import type { KnownSchedule, ScheduleRun, Schedules } from '../history/schedules.ts'
import { openCron } from './cron.ts'
import { comingOf, readiness } from './due.decide.ts'
import type { Schedule } from './schedule-schema.ts'

/** What carrying out a run came to; `why` in words where there is something to say. */
export type RunEnd = { state: 'done' | 'failed' | 'skipped'; why: string | null }

export type SchedulerOptions = {
  schedules: Schedules
  /** Milliseconds; may jump. */
  now: () => number
  /** Begins a run, or goes on with one whose process died. Never throws for what goes wrong on hosts. */
  carryOut: (spec: Schedule, run: ScheduleRun) => Promise<RunEnd>
  /** Why nothing may be deployed by this schedule now; null when it may. */
  closed: (spec: Schedule, nowMs: number) => string | null
  newRolloutId: () => string
  /** Told each run that came to its end, also one that was missed. */
  onEnd: (spec: Schedule, run: ScheduleRun) => void
  onProblem: (text: string) => void
}

const heartbeatMs = 5_000
const driftMs = 2_000
const beatMs = 2_000
/** What was missed before that is of no interest to anybody. */
const lookBackMs = 7 * 86_400_000
const most = 100

/**
 * Sees to it that schedules are run when they are due. What is true stands in the database; this only looks
 * at the clock and tries. Two of these on one database share the work.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #owner = randomUUID()
  readonly #working = new Map<string, Promise<void>>()
  #minute: ReturnType<typeof cron.schedule> | null = null
  #heart: NodeJS.Timeout | null = null
  #wall = 0
  #steady = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  start(): void {
    this.#arm()
    this.#heart = setInterval(() => this.#beat(), heartbeatMs)
    this.sweep()
  }

  /** Begins nothing more. Returns when what is under way has ended. */
  async stop(): Promise<void> {
    if (this.#heart) clearInterval(this.#heart)
    this.#heart = null
    await this.#minute?.destroy()
    this.#minute = null
    await this.idle()
  }

  /** Returns when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working.values())
  }

  /** Notes what has come and begins what may begin. May be called at any time, and as often as one likes. */
  sweep(): void {
    try {
      for (const known of this.#options.schedules.all()) this.#note(known)
      for (const run of this.#options.schedules.open()) this.#look(run)
    } catch (error) {
      this.#options.onProblem(asDeployError(error).message)
    }
  }

  /** node-cron stands still once the clock has been turned back, so it is set up anew. */
  #arm() {
    void this.#minute?.destroy()
    this.#minute = cron.schedule('* * * * *', () => this.sweep(), { suppressMissedWarning: true })
    this.#wall = Date.now()
    this.#steady = performance.now()
  }

  #beat() {
    const drift = Date.now() - this.#wall - (performance.now() - this.#steady)
    if (Math.abs(drift) > driftMs) {
      this.#options.onProblem(`the clock jumped by ${Math.round(drift / 1000)} s`)
      this.#arm()
    }
    this.sweep()
  }

  #note({ spec, seenMs }: KnownSchedule) {
    const { schedules } = this.#options
    const now = this.#options.now()
    // A clock that was ahead and was put right: what has run in its future is not run again.
    const seen = Math.min(seenMs, now)
    const lateMs = spec.lateSeconds * 1000
    const after = Math.max(seen, now - Math.max(lateMs, lookBackMs))
    const slots = openCron(spec.cron, spec.timeZone).slots(after, now).slice(-most)
    if (slots.length === 0 && seen === seenMs) return
    const isBusy = schedules.open().some(({ schedule }) => schedule === spec.name)
    const chance = (slot: number) => chanceOf(spec.name, slot)
    const jitterMs = spec.jitterSeconds * 1000
    const coming = spec.isPaused ? [] : comingOf(slots, { now, lateMs, jitterMs, isBusy, chance })
    schedules.note(spec.name, coming, now)
    for (const { slot, state } of coming) if (state === 'missed') this.#tell(spec, slot)
  }

  #look(run: ScheduleRun) {
    const { schedules, closed, newRolloutId } = this.#options
    const key = `${run.schedule} ${run.slot}`
    if (this.#working.has(key)) return
    const now = this.#options.now()
    const spec = schedules.all().find(({ spec: { name } }) => name === run.schedule)?.spec
    if (!spec) return schedules.end(run, 'skipped', 'the schedule was removed', now)
    if (run.state === 'waiting') {
      const ready = readiness(run, { now, lateMs: spec.lateSeconds * 1000, closed: closed(spec, now) })
      if (ready === 'wait') return
      if (ready !== 'begin') {
        schedules.end(run, 'missed', ready.missed, now)
        return this.#tell(spec, run.slot)
      }
    }
    const own = schedules.take(run, this.#owner, newRolloutId(), now)
    if (own === null) return
    this.#working.set(
      key,
      this.#carryOut(spec, own).finally(() => this.#working.delete(key)),
    )
  }

  async #carryOut(spec: Schedule, run: ScheduleRun) {
    const { schedules, now, carryOut } = this.#options
    const timer = setInterval(() => schedules.beat(run, this.#owner, now()), beatMs)
    try {
      const { state, why } = await carryOut(spec, run)
      schedules.end(run, state, why, now(), this.#owner)
    } catch (error) {
      schedules.end(run, 'failed', asDeployError(error).message, now(), this.#owner)
    } finally {
      clearInterval(timer)
    }
    this.#tell(spec, run.slot)
  }

  #tell(spec: Schedule, slot: number) {
    const run = this.#options.schedules.run(spec.name, slot)
    // What somebody else goes on with has not ended.
    if (run && run.ended !== null) this.#options.onEnd(spec, run)
  }
}

const wholeRange = 2 ** 32

/** From 0 to 1, the same for the same slot wherever it is asked. */
const chanceOf = (name: string, slot: number): number =>
  createHash('sha256').update(`${name} ${slot}`).digest().readUInt32BE() / wholeRange
