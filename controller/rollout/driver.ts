import { setTimeout as delay } from 'node:timers/promises'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { RolloutCommand, RolloutRecord, Rollouts } from '../history/rollouts.ts'
import { blankReport, record, runOrder } from '../push/deploy.ts'
import type { Emit, HostReport, PushEvent } from '../push/events.ts'
import type { FollowOptions } from '../push/follow.ts'
import type { SignedOrder } from '../push/order.ts'
import type { OpenedReceipt } from '../push/receipt.ts'
import { bakeHosts } from './bake.ts'
import { EventLog } from './event-log.ts'
import { HostWork, type Prepared, type WorkOptions } from './host-work.ts'
import { apply, isEnding, revertable, startable, working, type Event, type Rollout } from './machine.ts'
import { findOwnOrder } from './own-order.ts'

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
/** The order is not wrong, only late: the host has forgotten its question, or the batch took long. */
const renewable = new Set(['E_ORDER_CHALLENGE', 'E_ORDER_EXPIRED', 'E_ORDER_LOST'])
const renewals = 2
/** Somebody was faster: perhaps this same rollout, by another driver. */
const overtaken = new Set(['E_ORDER_SEQ', 'E_ORDER_PREV', 'E_BUSY'])

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
  readonly #renewed = new Map<string, number>()
  #rollout: Rollout
  #baking: AbortController | null = null
  #isLaunching = false
  #failure: unknown = null
  #wake: () => void = () => {}

  constructor(options: DriveOptions) {
    this.#options = options
    this.#rollouts = options.history.rollouts
    this.#rollout = options.record.rollout
    this.#log = new EventLog(this.#rollouts, this.#rollout.plan.id)
    this.#work = new HostWork({ ...options, emit: (event) => this.#emit(event) })
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
      if (
        this.#failure === null ||
        !(this.#failure instanceof DeployError) ||
        this.#failure.code !== 'E_ROLLOUT_TAKEN'
      )
        this.#rollouts.leave(id, this.#options.driver)
    }
  }

  command(command: RolloutCommand): void {
    this.#step(eventOf(command))
  }

  /** Stops waiting; what is under way on the hosts is for whoever drives it next. */
  detach(): void {
    this.#fail(new DeployError('E_DETACHED', { id: this.#rollout.plan.id.slice(0, 8) }))
  }

  #fail(error: unknown) {
    this.#failure ??= error
    this.#wake()
  }

  #beat(id: string) {
    if (!this.#rollouts.beat(id, this.#options.driver))
      this.#fail(new DeployError('E_ROLLOUT_TAKEN', { id: id.slice(0, 8) }))
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
      return this.#fail(error)
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
      void this.#follow(host, order, true)
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
    }
  }

  /** Orders for a whole batch at once: one signature, and one touch of a hardware key. */
  async #prepare() {
    const isMissing = (host: string) => this.#work.prepared(host) === undefined
    if (startable(this.#rollout).some(isMissing)) {
      const { plan, batch, hosts } = this.#rollout
      const due = (plan.batches[batch] ?? []).filter((host) => hosts[host] === 'waiting' && isMissing(host))
      await this.#work.prepareDeploy(due)
    }
    if (revertable(this.#rollout).some(isMissing)) {
      const { hosts, plan } = this.#rollout
      const wide = { ...this.#rollout, plan: { ...plan, policy: { ...plan.policy, parallel: 1000 } } }
      await this.#work.prepareRevert(
        revertable(wide).filter((host) => hosts[host] === 'committed' && isMissing(host)),
      )
    }
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
    for (const { host, prepared } of found) void this.#carryOut(host, prepared)
  }

  async #carryOut(host: string, prepared: Prepared) {
    if ('order' in prepared) {
      if (this.#rollout.batch > 0) prepared.ready.beganMs = performance.now()
      return this.#follow(host, prepared.order, false)
    }
    const report = blankReport(host)
    report.result = prepared.result
    if ('error' in prepared) report.error = prepared.error
    else report.reasons = [prepared.why]
    await Promise.resolve()
    this.#finish(host, report, null, null)
  }

  async #follow(host: string, order: SignedOrder, wasSent: boolean, again = false): Promise<void> {
    const { sessions, history, record: own, target } = this.#options
    const silence = this.#silence(host, target.rollout.policy.progressSeconds)
    const following: FollowOptions = {
      sessions,
      history,
      environment: own.details.environment,
      wasSent,
      signal: silence.signal,
      emit: (event) => {
        silence.heard()
        this.#emit(event)
      },
    }
    try {
      const ready = await this.#work.connect(host)
      const { report, opened } = await runOrder(ready, order, following)
      if (this.#detaching.signal.aborted) return
      const code = report.error?.code ?? ''
      if (renewable.has(code) && this.#mayRenew(host)) return this.#notBegun(host)
      if (!again && overtaken.has(code)) {
        const own = await findOwnOrder(ready.session, this.#rollout.plan, order.opId, this.#options)
        if (own) return await this.#follow(host, own, true, true)
      }
      this.#finish(host, report, order.opId, opened)
    } catch (error) {
      if (this.#detaching.signal.aborted) return
      this.#finish(host, { ...blankReport(host), error: asDeployError(error) }, order.opId, null)
    } finally {
      silence.end()
    }
  }

  /** Not for ever: a host whose agent dies of each order would have one after the other. */
  #mayRenew(host: string): boolean {
    const count = (this.#renewed.get(host) ?? 0) + 1
    this.#renewed.set(host, count)
    return count <= renewals
  }

  #notBegun(host: string) {
    this.#work.done(host)
    this.#step({ type: 'not-begun', host })
  }

  /** Gives a host up that says nothing for too long. */
  #silence(host: string, seconds: number) {
    const controller = new AbortController()
    const giveUp = () => controller.abort(new DeployError('E_NO_PROGRESS', { host, seconds }))
    let timer = setTimeout(giveUp, seconds * 1000)
    const detach = () => controller.abort(this.#detaching.signal.reason)
    this.#detaching.signal.addEventListener('abort', detach)
    return {
      signal: controller.signal,
      heard: () => {
        clearTimeout(timer)
        timer = setTimeout(giveUp, seconds * 1000)
      },
      end: () => {
        clearTimeout(timer)
        this.#detaching.signal.removeEventListener('abort', detach)
      },
    }
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

/** Until the rollout has no driver on this machine any more. */
export async function untilLeft(
  rollouts: Rollouts,
  id: string,
  onEvent: (event: unknown) => void,
): Promise<RolloutRecord | null> {
  let last = 0
  for (;;) {
    const isDriven = rollouts.isDriven(id)
    for (const { n, event } of rollouts.eventsAfter(id, last)) {
      last = n
      onEvent(event)
    }
    if (!isDriven) return rollouts.load(id)
    await delay(commandMs)
  }
}
