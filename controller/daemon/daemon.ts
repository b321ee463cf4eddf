import { EventEmitter } from 'node:events'
import { asDeployError, DeployError } from '../../shared/errors.ts'
import type { RolloutCommand } from '../history/rollouts.ts'
import { newRolloutId } from '../push/push.ts'
import { mayBe } from '../rollout/may-be.decide.ts'
import { takeUp } from '../rollout/take-up.ts'
import { Scheduler } from '../schedule/scheduler.ts'
import { FleetWatch } from './fleet-watch.ts'
import { carryOut, closedFor } from './jobs.ts'
import { aroundAt, placeOf, signerOf, type Site } from './site.ts'
import { tellRun } from './tell-run.ts'

type Events = { fleet: []; schedules: [] }

/** A controller that is kept running: schedules, a look at the fleet, rollouts that nobody drives. */
export class Daemon {
  readonly site: Site
  readonly scheduler: Scheduler
  readonly watch: FleetWatch
  /** Milliseconds, by the clock that its schedules go by. */
  readonly now: () => number
  readonly events = new EventEmitter<Events>().setMaxListeners(0)
  readonly #driving = new Map<string, Promise<void>>()
  #isStarted = false

  constructor(site: Site, now: () => number = Date.now) {
    this.site = site
    this.now = now
    this.watch = new FleetWatch(site, () => this.events.emit('fleet'))
    this.scheduler = new Scheduler({
      schedules: site.history.schedules,
      now,
      carryOut: (spec, run) => carryOut(site, spec, run),
      closed: (spec, nowMs) => closedFor(site, spec, nowMs),
      newRolloutId,
      onProblem: site.say,
      onEnd: (spec, run) => {
        site.say(
          `${run.schedule} ${new Date(run.slot).toISOString()}: ${run.state}${run.why ? `, ${run.why}` : ''}`,
        )
        void tellRun(site, spec, run)
        this.events.emit('schedules')
        this.watch.soon()
      },
    })
  }

  start(): void {
    this.#isStarted = true
    this.watch.start()
    this.scheduler.start()
  }

  /** Schedules were changed: what is due is begun, if that is this process's business. */
  schedulesChanged(): void {
    this.events.emit('schedules')
    if (this.#isStarted) this.scheduler.sweep()
  }

  /** Begins nothing more and sees through what it has begun. */
  async stop(): Promise<void> {
    this.#isStarted = false
    await Promise.all([this.scheduler.stop(), this.watch.stop()])
    await Promise.all(this.#driving.values())
  }

  /**
   * Tells whoever drives a rollout, or drives it from here on.
   * @throws DeployError E_ROLLOUT_UNKNOWN, E_ROLLOUT_STATE, and as placeOf
   */
  async steer(id: string, command: RolloutCommand): Promise<void> {
    const { rollouts } = this.site.history
    const record = rollouts.load(id)
    if (!record) throw new DeployError('E_ROLLOUT_UNKNOWN', { id })
    const { state } = record.rollout
    const isLive = rollouts.isDriven(id)
    if (!mayBe(command, state, isLive))
      throw new DeployError('E_ROLLOUT_STATE', { id: id.slice(0, 8), state, command: command.do })
    if (isLive) return rollouts.command(id, command)
    const { what, environment } = record.details
    const place = await placeOf(this.site, what.service, environment.name)
    const signer = await signerOf(this.site)
    const around = aroundAt(this.site, place.project)
    const driven = takeUp(record, command, { ...place, signer, even: false, around, emit: () => {} })
      .then(() => {})
      .catch((error: unknown) => this.site.say(`rollout ${id.slice(0, 8)}: ${asDeployError(error).message}`))
      .finally(() => {
        this.#driving.delete(id)
        this.watch.soon()
      })
    this.#driving.set(id, driven)
  }
}
