import type { Journal } from './journal/journal.ts'
import type { Releases } from './store/releases.ts'
import type { Ballast } from './store/space.ts'

/** What is done between deployments, never in one: removing ten thousand files takes a second. */
export class Housekeeping {
  readonly #journal: Journal
  readonly #releases: Releases
  readonly #ballast: Ballast
  readonly #keepReleases: number
  #turn: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(journal: Journal, releases: Releases, ballast: Ballast, keepReleases: number) {
    this.#journal = journal
    this.#releases = releases
    this.#ballast = ballast
    this.#keepReleases = keepReleases
  }

  soon(afterMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      // What is left over now is removed the next time.
      this.#turn = this.#turn
        .then(() => this.#tidy())
        .catch((error: unknown) => console.error('tidy:', error))
    }, afterMs)
  }

  async #tidy(): Promise<void> {
    if (this.#journal.unfinished().length > 0) return
    const services = this.#releases.services()
    await this.#releases.prune(new Map(services.map((name) => [name, this.#needed(name)])))
    this.#ballast.restore()
    for (const name of services) await this.#releases.makeSpare(name)
  }

  /** The newest, what runs, what ran before it, and what the running program still reads. */
  #needed(name: string): Set<string> {
    const { active, previous, inUse } = this.#journal.service(name)
    const newest = this.#releases.staged(name).slice(0, this.#keepReleases)
    return new Set([...newest, ...inUse, ...[active, previous].filter((one) => one !== null)])
  }
}
