import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { RolloutCommand, Rollouts } from '../history/rollouts.ts'
import { record } from '../push/deploy.ts'
import type { Emit, HostReport, PushEvent } from '../push/events.ts'
import type { OpenedReceipt } from '../push/receipt.ts'
import { bakeHosts } from './bake.ts'
import { EventLog } from './event-log.ts'
import { HostTurns, type Turn } from './host-turns.ts'
import { HostWork, type WorkOptions } from './host-work.ts'
import {
  apply,
  isEnding,
  revertable,
  startable,
  toRevert,
  toStart,
  working,
  type Event,
  type Rollout,
} from './machine.ts'

export type DriveOptions = Omit<WorkOptions, 'emit'> & {
  /** The name under which this process drives it. */
  driver: string
  emit: Emit
  /** Told each state that it comes to. */
  onState?: (rollout: Rollout) => void
}

export type Driven = { rollout: Rollout; reports: Map<string, HostReport> }

const beatMs = 2_000
const commandMs = 300
/** Why nobody waits for the hosts any longer, though they go on. */
class Detached extends Error {}

/**
 * Takes a rollout through its states: the record first, then the effect. Ends when the rollout has ended or
 * is paused, or when somebody else has taken it over.
 */
export class Driver {
  readonly #options: DriveOptions
  readonly #rollouts: Rollouts
  readonly #work: HostWork
  readonly #log: EventLog
  readonly #reports = new Map<string, HostReport>()
  readonly #detaching = new AbortController()
  readonly #turns: HostTurns
  #rollout: Rollout
  #baking: AbortController | null = null
  #isLaunching = false
  #isHandingOver = false
  #failure: unknown = null
  #wake: () => void = () => {}

  constructor(options: DriveOptions) {
    this.#options = options
    this.#rollouts = options.history.rollouts
    this.#rollout = options.record.rollout
    this.#log = new EventLog(this.#rollouts, this.#rollout.plan.id)
    const emit = (event: PushEvent) => this.#emit(event)
    this.#work = new HostWork({ ...options, emit })
    const { plan } = this.#rollout
    this.#turns = new HostTurns({ ...options, emit, work: this.#work, plan, leaving: this.#detaching.signal })
  }

  get rollout(): Rollout {
    return this.#rollout
  }

  /** @throws DeployError E_ROLLOUT_TAKEN, E_DETACHED, and what kept orders from being signed */
  async run(): Promise<Driven> {
    const { id } = this.#rollout.plan
    const timers = [setInterval(() => this.#beat(id), beatMs), setInterval(() => this.#obey(id), commandMs)]
    try {
      this.#takeUp()
      if (this.#rollout.state === 'planned') this.#step({ type: 'begin' })
      for (;;) {
        this.#advance()
        if (this.#failure !== null) throw this.#failure
        const { state } = this.#rollout
        if ((isEnding(state) || state === 'paused') && working(this.#rollout) === 0) break
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
      return { rollout: this.#rollout, reports: this.#reports }
    } finally {
      for (const timer of timers) clearInterval(timer)
      this.#baking?.abort()
      this.#detaching.abort(new Detached())
      this.#log.flush()
      this.#rollouts.leave(id, this.#options.driver)
    }
  }

  command(command: RolloutCommand): void {
    this.#step(eventOf(command))
  }

  /** Another process is going to take it over: what is under way on the hosts is for that one to see through. */
  handOver(): void {
    this.#isHandingOver = true
  }

  #fail(error: unknown) {
    this.#failure ??= error
    this.#wake()
  }

  #beat(id: string) {
    if (!this.#rollouts.beat(id, this.#options.driver)) this.#lose()
  }

  /** Somebody else drives it now; by our own wish, or not. */
  #lose() {
    const id = this.#rollout.plan.id.slice(0, 8)
    this.#fail(new DeployError(this.#isHandingOver ? 'E_DETACHED' : 'E_ROLLOUT_TAKEN', { id }))
  }

  #obey(id: string) {
    for (const command of this.#rollouts.takeCommands(id)) this.command(command)
    this.#log.flush()
  }

  /** The next state is in the record before anything of it is done. */
  #step(event: Event, orders: ReadonlyMap<string, string> = new Map()): void {
    this.#steps([event], orders)
  }

  #steps(events: readonly Event[], orders: ReadonlyMap<string, string> = new Map()): void {
    const before = this.#rollout
    const next = events.reduce(apply, before)
    if (next === before) return
    try {
      this.#rollouts.save(before, next, this.#options.driver, orders)
    } catch (error) {
      const isTaken = error instanceof DeployError && error.code === 'E_ROLLOUT_TAKEN'
      return isTaken ? this.#lose() : this.#fail(error)
    }
    this.#rollout = next
    if (next.state !== before.state || next.batch !== before.batch || next.why !== before.why)
      this.#tellState()
    if (next.state !== 'baking') this.#baking?.abort()
    this.#wake()
  }

  #tellState() {
    this.#options.onState?.(this.#rollout)
    const { plan, state, batch, why } = this.#rollout
    const { canary, batch: later } = plan.policy.bakeSeconds
    this.#emit({
      type: 'rollout',
      id: plan.id,
      state,
      batch: batch + 1,
      batches: plan.batches.length,
      hosts: plan.batches[batch] ?? [],
      why,
      bakeSeconds: plan.canary && batch === 0 ? canary : later,
      parallel: plan.policy.parallel,
    })
  }

  #emit(event: PushEvent) {
    this.#log.add(event)
    this.#options.emit(event)
  }

  /** Hosts that were at work when their driver died. */
  #takeUp() {
    const { record: own } = this.#options
    for (const [host, at] of Object.entries(this.#rollout.hosts)) {
      if (at !== 'deploying' && at !== 'reverting') continue
      const opId = own.hosts[host]?.opId
      const push = opId ? this.#options.history.push(opId) : null
      if (!push) {
        this.#step({ type: 'not-begun', host })
        continue
      }
      const { order: bytes, orderSignatures: signatures, approvals } = push
      const order = { opId: push.opId, at: push.at, bytes, signatures, release: [], approvals }
      void this.#carryOut(host, this.#turns.follow(host, order, true))
    }
  }

  /** Begins whatever may begin now. */
  #advance() {
    const { state } = this.#rollout
    if (state === 'baking' && this.#baking === null) void this.#bake()
    if (startable(this.#rollout).length > 0 || revertable(this.#rollout).length > 0) void this.#launch()
  }

  async #launch() {
    if (this.#isLaunching) return
    this.#isLaunching = true
    try {
      await this.#prepare()
      this.#begin('starting', startable(this.#rollout))
      this.#begin('reverting', revertable(this.#rollout))
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#isLaunching = false
      // A host may have lost its order meanwhile, and nothing else may be under way.
      if (this.#isMissingAny()) this.#wake()
    }
  }

  #hasNoOrder = (host: string) => this.#work.prepared(host) === undefined

  #isMissingAny = () => [...startable(this.#rollout), ...revertable(this.#rollout)].some(this.#hasNoOrder)

  /** Orders for a whole batch at once: one signature, and one touch of a hardware key. */
  async #prepare() {
    if (startable(this.#rollout).some(this.#hasNoOrder))
      await this.#work.prepareDeploy(toStart(this.#rollout).filter(this.#hasNoOrder))
    if (revertable(this.#rollout).some(this.#hasNoOrder))
      await this.#work.prepareRevert(toRevert(this.#rollout).filter(this.#hasNoOrder), this.#rollout.why)
  }

  #begin(type: 'starting' | 'reverting', hosts: readonly string[]) {
    const found = hosts.flatMap((host) => {
      const prepared = this.#work.prepared(host)
      return prepared ? [{ host, prepared }] : []
    })
    if (found.length === 0) return
    const opId = ({ prepared }: (typeof found)[number]) => ('order' in prepared ? prepared.order.opId : null)
    const orders = found.flatMap((one): [string, string][] => {
      const id = opId(one)
      return id === null ? [] : [[one.host, id]]
    })
    this.#steps(
      found.map(({ host }) => ({ type, host })),
      new Map(orders),
    )
    if (this.#failure !== null) return
    for (const { host, prepared } of found) {
      // What it waited for the batches before is not its own time.
      if ('order' in prepared && this.#rollout.batch > 0) prepared.ready.beganMs = performance.now()
      void this.#carryOut(host, this.#turns.take(host, prepared))
    }
  }

  async #carryOut(host: string, turn: Promise<Turn>) {
    const ended = await turn
    if (ended.type === 'left') return
    if (ended.type === 'ended') return this.#finish(host, ended.report, ended.opId, ended.opened)
    this.#work.done(host)
    this.#step({ type: 'not-begun', host })
  }

  #finish(host: string, report: HostReport, opId: string | null, opened: OpenedReceipt | null) {
    const isRevert = this.#rollout.hosts[host] === 'reverting'
    const told = isRevert ? reverted(report) : report
    this.#reports.set(host, told)
    const event: Event = isRevert
      ? { type: 'reverted', host, ok: told.result === 'rolled-back' }
      : { type: 'ended', host, result: report.result }
    if (opId !== null) this.#options.history.atOnce(() => record(this.#options.history, opId, report, opened))
    this.#emit({ type: 'result', ...told })
    this.#work.done(host)
    this.#step(event)
  }

  async #bake() {
    const baking = new AbortController()
    this.#baking = baking
    const { plan, batch } = this.#rollout
    try {
      const hosts = (plan.batches[batch] ?? []).filter((host) => this.#rollout.hosts[host] === 'committed')
      const others = Object.keys(this.#rollout.hosts).filter(
        (host) => this.#rollout.hosts[host] === 'waiting',
      )
      const problem = await bakeHosts(hosts, others, plan, batch, {
        ...this.#options,
        signal: baking.signal,
        emit: (event) => this.#emit(event),
      })
      if (!baking.signal.aborted) this.#step({ type: 'baked', problem })
    } catch (error) {
      if (!baking.signal.aborted) this.#step({ type: 'baked', problem: asDeployError(error).message })
    } finally {
      if (this.#baking === baking) this.#baking = null
      this.#wake()
    }
  }
}

/** What the order to go back came to, in the words of the rollout. */
function reverted(report: HostReport): HostReport {
  if (report.result === 'committed' || report.result === 'unchanged')
    return { ...report, result: 'rolled-back' }
  return { ...report, result: 'inconsistent' }
}

function eventOf(command: RolloutCommand): Event {
  if (command.do === 'pause') return { type: 'pause', why: 'somebody asked for it' }
  if (command.do === 'abort') return { type: 'abort', undo: command.undo, why: 'somebody stopped it' }
  return { type: command.do }
}
