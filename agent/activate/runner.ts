import { sha256Hex } from '../../shared/documents/document.ts'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { Plan } from '../../shared/plan/planner.ts'
import type { CodeReport, DeploymentEvent } from '../../shared/wire/api.ts'
import type { Drain } from '../../shared/formats/receipt.ts'
import type { ProbeAnswer } from '../health/probe.ts'
import type { Host } from '../host.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { ServiceManager } from '../manager/manager.ts'
import type { Releases } from '../store/releases.ts'
import type { Clock } from '../clock.ts'
import type { Watching } from './activation.ts'
import { checkRelease } from './check.ts'
import { isEnding, recover, transition, type Effect, type Event, type State, type Step } from './machine.ts'
import { News } from './news.ts'
import { runAfterHooks, runBeforeHooks } from './hooks.ts'
import { orderOf, planFor } from './plan.ts'
import { awaitConfirm } from './probation.ts'
import { rehearse, spareOf } from './rehearse.ts'
import { Receipts } from './receipts.ts'
import type { Specs } from './specs.ts'
import { Ways } from './ways.ts'

export type RunnerParts = {
  host: Host
  journal: Journal
  releases: Releases
  specs: Specs
  manager: ServiceManager
  clock: Clock
  /** Called when a deployment has ended; pruning waits until then. */
  onEnded: () => void
  /** Told before and after the effect of each state; where tests let the agent die. */
  onStep?: (state: State, moment: 'journalled' | 'done') => void
}

/** One deployment while it is carried out. */
type Running = {
  entry: Entry
  confirmSeconds: number
  plan: Plan
  /** Connection that brought the order; null after a restart of the agent, when any is another. */
  connection: string | null
  confirmed: AbortController
  steps: { step: string; ms: number }[]
  drain: Drain | null
  lastAnswers: readonly ProbeAnswer[]
  /** When the new release was started: older log lines are the old one's. */
  startedAt: string
}

const logLinesShown = 30

/** Takes deployments through their states: journal first, then the effect. */
export class Runner {
  readonly #parts: RunnerParts
  readonly #receipts: Receipts
  readonly #running = new Map<string, Running>()
  readonly #news: News
  readonly #ways: Ways

  constructor(parts: RunnerParts) {
    this.#parts = parts
    this.#receipts = new Receipts(parts.host, parts.journal)
    this.#news = new News(parts.journal, () => parts.clock.now())
    this.#ways = new Ways(parts)
  }

  /** Carries out a deployment that the journal has accepted. */
  begin(entry: Entry, confirmSeconds: number, connection: string): void {
    const running = this.#admit(entry, confirmSeconds, connection)
    const step = transition(entry.life, { type: 'begin' })
    this.#tell(running, 'accepted', {
      service: entry.service,
      release: entry.release,
      ...described(running.plan),
    })
    if (step) void this.#carryOn(running, step)
  }

  /** Finishes or undoes what an agent that died left behind; returns when all of it has a result or waits. */
  async recover(): Promise<void> {
    const { journal, clock } = this.#parts
    for (const entry of journal.unfinished()) {
      const running = this.#admit(entry, 0, null)
      const step = recover(entry.life, {
        sameBoot: entry.bootId === clock.bootId,
        newReleaseRuns: await this.#ways.runs(entry),
        monotonicMs: clock.uptimeMs(),
      })
      this.#tell(running, 'recovered', { found: entry.life.state })
      if (step) void this.#carryOn(running, step)
    }
  }

  #admit(entry: Entry, confirmSeconds: number, connection: string | null): Running {
    const running: Running = {
      entry,
      confirmSeconds,
      plan: planFor(entry, this.#parts.journal, this.#parts.releases),
      connection,
      confirmed: new AbortController(),
      steps: [],
      drain: null,
      lastAnswers: [],
      startedAt: entry.began,
    }
    this.#running.set(entry.opId, running)
    return running
  }

  async #carryOn(running: Running, first: Step): Promise<void> {
    const { journal, onStep } = this.#parts
    const { entry } = running
    for (let step: Step | null = first; step;) {
      const { next, effect }: Step = step
      entry.life = next
      if (isEnding(next.state)) return this.#conclude(running)
      journal.advance(entry.opId, next)
      this.#tell(running, 'state', { state: next.state, ...(next.failure && { why: next.failure.message }) })
      onStep?.(next.state, 'journalled')
      const began = performance.now()
      const event = await this.#attempt(running, effect)
      onStep?.(next.state, 'done')
      running.steps.push({ step: next.state, ms: Math.round(performance.now() - began) })
      step = transition(entry.life, event)
    }
  }

  async #attempt(running: Running, effect: Effect): Promise<Event> {
    try {
      return await this.#perform(running, effect)
    } catch (error) {
      const failure =
        effect === 'roll-back' ? rollbackFailure(running.entry.service, error) : asDeployError(error)
      await this.#tellEvidence(running)
      return { type: 'failed', failure: { code: failure.code, message: failure.message } }
    }
  }

  async #perform(running: Running, effect: Effect): Promise<Event> {
    const { releases } = this.#parts
    const { entry } = running
    const watching = this.#watching(running)
    const way = this.#ways.of(entry, running.plan.strategy)
    switch (effect) {
      case 'stage':
        await releases.stage(entry.service, entry.release, this.#parts.specs.manifest(entry.release))
        return { type: 'staged' }
      case 'check':
        await this.#check(running)
        return { type: 'checked' }
      case 'switch':
        return { type: 'switch' }
      case 'start':
        running.startedAt = this.#parts.clock.now()
        await way.start(watching)
        return { type: 'switched' }
      case 'probe':
        await way.prove(watching)
        return { type: 'healthy', confirmBy: this.#parts.clock.uptimeMs() + running.confirmSeconds * 1000 }
      case 'await-confirm': {
        await awaitConfirm(running, { clock: this.#parts.clock, howEnded: () => way.howEnded() })
        return { type: 'confirmed' }
      }
      case 'drain':
        await way.drain(watching)
        running.plan.reasons.push(
          ...(await runAfterHooks(entry, running.plan.strategy, this.#parts, (type, data) =>
            this.#tell(running, type, data),
          )),
        )
        return { type: 'drained' }
      case 'roll-back':
        await way.goBack(watching)
        return { type: 'rolled-back' }
      case 'conclude':
        throw new Error('an ended deployment has no further effect')
    }
  }

  #watching(running: Running): Watching {
    return {
      onAnswers: (answers) => (running.lastAnswers = answers),
      onDraining: ({ requests, connections }) => this.#tell(running, 'draining', { requests, connections }),
      onDrained: (drain) => (running.drain = drain),
      onProblems: (problems) => running.plan.reasons.push(...problems),
    }
  }

  async #check(running: Running) {
    const { entry } = running
    const { manager, specs } = this.#parts
    if (orderOf(entry).rehearse) {
      this.#tell(running, 'rehearsing', {})
      const { onAnswers } = this.#watching(running)
      await rehearse(entry.service, { manager, specs, health: this.#ways.health }, onAnswers)
    }
    const plan = await checkRelease(entry, running.plan, { ...this.#parts, hot: this.#ways.hot })
    await runBeforeHooks(entry, plan.strategy, this.#parts, (type, data) => this.#tell(running, type, data))
    if (plan === running.plan) return
    running.plan = plan
    this.#tell(running, 'plan', described(plan))
  }

  /**
   * Proof that the controller can still reach this host.
   * @throws DeployError E_CONFIRM_REFUSED
   */
  confirm(opId: string, connection: string): void {
    const running = this.#running.get(opId)
    const refuse = (why: string) => new DeployError('E_CONFIRM_REFUSED', { why })
    if (!running) throw refuse('there is no such deployment under way')
    if (running.entry.life.state !== 'probation')
      throw refuse(`it is ${running.entry.life.state}, not in probation`)
    if (running.connection === connection) throw refuse('it came over the connection that brought the order')
    running.confirmed.abort()
  }

  async #conclude(running: Running): Promise<void> {
    const { journal, clock, manager, onEnded } = this.#parts
    const { entry, plan, steps, drain } = running
    const { life } = entry
    if (!isEnding(life.state)) return
    const { active, slot } = journal.service(entry.service)
    if (plan.strategy === 'hot' && life.state === 'aborted') await this.#ways.hot.abandon(entry)
    // An agent that died while it rehearsed left that running.
    if (life.state === 'aborted' && slot !== null && orderOf(entry).rehearse)
      await manager.stop(entry.service, spareOf({ slot }))
    if (plan.strategy !== 'hot' && life.state === 'committed') journal.noteInUse(entry.service, [])
    // Before the receipt: what a host has said to be committed comes up after a power cut.
    await manager.settle(entry.service, life.state === 'committed' ? entry.slot : slot)
    await this.#receipts.conclude(
      { ...life, state: life.state },
      {
        opId: entry.opId,
        order: sha256Hex(entry.order),
        service: entry.service,
        release: entry.release,
        active: life.state === 'committed' ? entry.release : active,
        strategy: plan.strategy,
        reasons: plan.reasons,
        error: life.failure,
        began: entry.began,
        ended: clock.now(),
        steps,
        drain,
        login: entry.login,
      },
    )
    const receipt = journal.receiptOf(entry.opId)
    this.#tell(running, 'receipt', {
      result: life.state,
      receipt: receipt?.bytes.toString() ?? '',
      signature: receipt?.signature ?? '',
    })
    this.#running.delete(entry.opId)
    onEnded()
  }

  /** The last answers and log lines: what a person needs to see why. */
  async #tellEvidence(running: Running) {
    const { service } = running.entry
    const log = await this.#parts.manager.tail(service, logLinesShown).catch(() => [])
    const answers = running.lastAnswers.filter(({ ok }) => !ok).map(({ detail, body }) => ({ detail, body }))
    const own = log.filter(({ at, slot }) => at >= running.startedAt && slot === running.entry.slot)
    const other = log.filter((line) => !own.includes(line))
    const told = (lines: typeof log) => lines.map(({ stream, line }) => `${stream} ${line}`)
    this.#tell(running, 'evidence', { answers, log: told(own), previousLog: told(other) })
  }

  #tell({ entry }: Running, type: string, data: Record<string, unknown>) {
    this.#news.tell(entry.opId, type, data)
  }

  /** What a service's running program says of its code; null where it is none that can exchange it. */
  code(service: string): Promise<CodeReport['code']> {
    const active = this.#parts.specs.active(service)
    return active ? this.#ways.hot.attest(active) : Promise.resolve(null)
  }

  /** All events after number `after`, then those that come, to the receipt. */
  events(opId: string, after: number, signal: AbortSignal): AsyncIterable<DeploymentEvent> {
    return this.#news.events(opId, after, () => this.#running.has(opId), signal)
  }
}

/** For people: which modules they are, the agent and the program know. */
const described = ({ strategy, reasons }: Plan) => ({ strategy, reasons })

const rollbackFailure = (service: string, cause: unknown) =>
  new DeployError('E_ROLLBACK_FAILED', { service, why: asDeployError(cause).message }, { cause })
