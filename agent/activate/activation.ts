import { setTimeout as delay } from 'node:timers/promises'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { controlSocket, privateSocket } from '../../shared/formats/sockets.ts'
import type { Drain, Strategy } from '../../shared/formats/receipt.ts'
import type { ControlStatus } from '../../shared/wire/control.ts'
import type { ProbeAnswer } from '../health/probe.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { InstanceSpec, ServiceManager, Slot, Stopped } from '../manager/manager.ts'
import { askInstance, watchInstance } from './control.ts'
import { whereToGoBack } from './going-back.decide.ts'
import type { Health } from './health.ts'
import type { Specs } from './specs.ts'
import { endOthers, handover, restart, type ActivationStrategy, type End } from './strategy.ts'

const acceptTimeoutMs = 5_000
const endedPollMs = 200
/** What is told is journalled: draining may take hours, and change all the time. */
const tellMs = 1_000

/** What whoever watches a deployment is told; and what of it is kept. */
export type Watching = {
  onAnswers: (answers: readonly ProbeAnswer[]) => void
  onDraining: (status: ControlStatus) => void
  onDrained: (drain: Drain) => void
  /** What went wrong without making the deployment fail. */
  onProblems: (problems: readonly string[]) => void
}

/** Ways that begin or end a process. */
export type ProcessStrategy = Exclude<Strategy, 'hot'>
const strategies: Record<ProcessStrategy, ActivationStrategy> = { handover, restart, none: restart }

/** Brings a release into service in a process of its own, beside or after the one before, and back. */
export class Activation {
  readonly #manager: ServiceManager
  readonly #journal: Journal
  readonly #specs: Specs
  readonly #health: Health

  constructor(manager: ServiceManager, journal: Journal, specs: Specs, health: Health) {
    this.#manager = manager
    this.#journal = journal
    this.#specs = specs
    this.#health = health
  }

  /** The new release is started; by a handover beside the old one, and without traffic where it can wait. */
  async start(entry: Entry, strategy: ProcessStrategy, watching: Watching): Promise<void> {
    const next = this.#specs.next(entry)
    const isHeld = strategies[strategy].isSideBySide && hasControl(next)
    await strategies[strategy].bring(this.#manager, next, isHeld, this.#ending(watching))
  }

  /** Healthy, and then with traffic. @throws DeployError as watchHealth, E_SERVICE_CONTROL */
  async prove(entry: Entry, strategy: ProcessStrategy, { onAnswers }: Watching): Promise<void> {
    const next = this.#specs.next(entry)
    const { isSideBySide } = strategies[strategy]
    await this.#health.await(next, onAnswers, isSideBySide ? 'aside' : 'alone')
    if (!isSideBySide || !hasControl(next)) return
    // Before it is told: should it die now, whoever starts it again must not wait for us.
    await this.#manager.letTakeTraffic(next.service, next.slot)
    const path = this.#manager.privateSocket(next.service, next.slot)
    await askInstance(path, { do: 'accept' }, acceptTimeoutMs)
  }

  /**
   * The old instance drains and ends; the new one must live meanwhile, and answer when it is alone.
   * @throws DeployError E_SERVICE_START, E_PROBE_FAILED
   */
  async drain(entry: Entry, strategy: ProcessStrategy, watching: Watching): Promise<void> {
    const next = this.#specs.next(entry)
    if (!strategies[strategy].isSideBySide) return
    const over = new AbortController()
    const death = this.#death(next, over.signal)
    try {
      const ending = endOthers(this.#manager, next.service, next, this.#ending(watching))
      // Nobody waits for it any more when the new one dies; it is asked for again on the way back.
      ending.catch(() => {})
      const how = await Promise.race([ending.then(() => null), death])
      if (how !== null)
        throw new DeployError('E_SERVICE_START', { why: `it ended (${how}) while the old one drained` })
    } finally {
      over.abort()
    }
    await this.#health.await(next, watching.onAnswers, 'once').catch((error: unknown) => {
      const { code, facts } = asDeployError(error)
      const why = `alone, after the old one had ended: ${String(facts['why'])}`
      throw new DeployError(code, { ...facts, why }, { cause: error })
    })
  }

  /** How an instance ends; waits until it does. */
  async #death(spec: InstanceSpec, signal: AbortSignal): Promise<string> {
    for (;;) {
      await delay(endedPollMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return 'it is no longer watched'
      const how = await this.#health.howEnded(spec)
      if (how !== null) return how
    }
  }

  /** What ran before runs again, alone; nothing when nothing did. */
  async goBack(entry: Entry, strategy: ProcessStrategy, watching: Watching): Promise<void> {
    const { service } = entry
    // What is told of draining is told of the old instance, and here the new one ends.
    const end = this.#ending({ ...watching, onDraining: () => {}, onDrained: () => {} })
    const committed = this.#specs.active(service)
    if (committed === null) return endOthers(this.#manager, service, null, end)
    const { instances } = await this.#manager.status(service)
    const { slot, untouched } = whereToGoBack(committed, instances)
    if (slot !== committed.slot) this.#journal.relocate(service, slot)
    const before = { ...committed, slot }
    if (untouched) return endOthers(this.#manager, service, before, end)
    await strategies[strategy].bring(this.#manager, before, false, end)
    // Without a way to it alone, the one that is given up would answer the probes as well, and must go first.
    const isAside = strategies[strategy].isSideBySide && privateSocket(before.sockets) !== null
    if (isAside) await this.#health.await(before, watching.onAnswers, 'aside')
    await endOthers(this.#manager, service, before, end)
    if (!isAside) await this.#health.await(before, watching.onAnswers, 'alone')
  }

  /** Ends an instance, and tells how it drains and what it cut off. */
  #ending({ onDraining, onDrained }: Watching): End {
    return async (service, slot) => {
      const began = performance.now()
      const over = new AbortController()
      let last: ControlStatus | null = null
      const watch = async () => {
        if (!this.#hasControlAt(service, slot)) return
        const path = this.#manager.privateSocket(service, slot)
        let told = -tellMs
        for await (const status of watchInstance(path, over.signal)) {
          last = status
          if (performance.now() - told < tellMs) continue
          told = performance.now()
          onDraining(status)
        }
      }
      const watching = watch()
      const stopped = await this.#manager.stop(service, slot)
      over.abort()
      await watching
      onDrained(drainOf(stopped, last, performance.now() - began))
      return stopped
    }
  }

  /** Whether what is committed, or now tried, in this slot has the library. */
  #hasControlAt(service: string, slot: Slot): boolean {
    const entry = this.#journal.unfinished().find((one) => one.service === service)
    const specs = [this.#specs.active(service), entry ? this.#specs.next(entry) : null]
    return specs.some((spec) => spec?.slot === slot && hasControl(spec))
  }
}

const hasControl = ({ sockets }: InstanceSpec) => sockets.some(({ name }) => name === controlSocket)

function drainOf({ killed }: Stopped, last: ControlStatus | null, ms: number): Drain {
  // One that was killed had no last word: what it was still at is cut.
  const cut = last && (killed ? { requests: last.requests, connections: last.connections } : last.cut)
  return { ms: Math.round(ms), killed, cut }
}
