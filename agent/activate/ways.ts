import type { Strategy } from '../../shared/formats/receipt.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { ServiceManager } from '../manager/manager.ts'
import { Activation, type Watching } from './activation.ts'
import { Health } from './health.ts'
import { HotActivation } from './hot.ts'
import type { Specs } from './specs.ts'

/** How one deployment is carried out. */
export type Way = {
  start(watching: Watching): Promise<void>
  prove(watching: Watching): Promise<void>
  drain(watching: Watching): Promise<void>
  goBack(watching: Watching): Promise<void>
  /** In words how the new release ended; null while it runs. */
  howEnded(): Promise<string | null>
}

/** The way of each strategy: in the running program, or by processes that begin and end. */
export class Ways {
  readonly hot: HotActivation
  readonly #processes: Activation
  readonly health: Health
  readonly #specs: Specs
  readonly #manager: ServiceManager

  constructor({ manager, journal, specs }: { manager: ServiceManager; journal: Journal; specs: Specs }) {
    this.#manager = manager
    this.#specs = specs
    this.health = new Health(manager, specs)
    this.#processes = new Activation(manager, journal, specs, this.health)
    this.hot = new HotActivation(manager, journal, specs, this.health, this.#processes)
  }

  of(entry: Entry, strategy: Strategy): Way {
    const { hot } = this
    const processes = this.#processes
    if (strategy === 'hot')
      return {
        start: () => hot.start(entry),
        prove: (watching) => hot.prove(entry, watching),
        drain: (watching) => hot.drain(entry, watching),
        goBack: (watching) => hot.goBack(entry, watching),
        howEnded: () => hot.howEnded(entry),
      }
    return {
      start: (watching) => processes.start(entry, strategy, watching),
      prove: (watching) => processes.prove(entry, strategy, watching),
      drain: (watching) => processes.drain(entry, strategy, watching),
      goBack: (watching) => processes.goBack(entry, strategy, watching),
      howEnded: () => this.health.howEnded(this.#specs.next(entry)),
    }
  }

  /** Whether the host runs the release that a deployment brings, for an agent that finds it unfinished. */
  async runs(entry: Entry): Promise<boolean> {
    if (entry.strategy === 'hot') return (await this.hot.howEnded(entry)) === null
    const { instances } = await this.#manager.status(entry.service)
    return instances.some(
      ({ slot, release, state }) => slot === entry.slot && release === entry.release && state === 'running',
    )
  }
}
