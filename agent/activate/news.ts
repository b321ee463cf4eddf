import { EventEmitter, once } from 'node:events'
import type { DeploymentEvent } from '../../shared/wire/api.ts'
import type { Journal } from '../journal/journal.ts'

/** The events of deployments: in the journal first, then to whoever waits for them. */
export class News {
  readonly #journal: Journal
  readonly #now: () => string
  readonly #waiting = new EventEmitter().setMaxListeners(0)

  constructor(journal: Journal, now: () => string) {
    this.#journal = journal
    this.#now = now
  }

  tell(opId: string, type: string, data: Record<string, unknown>): void {
    this.#journal.addEvent(opId, this.#now(), type, data)
    this.#waiting.emit(opId)
  }

  /**
   * All events after number `after`, then those that come.
   * @param isOpen whether more may come
   */
  async *events(
    opId: string,
    after: number,
    isOpen: () => boolean,
    signal: AbortSignal,
  ): AsyncIterable<DeploymentEvent> {
    let last = after
    while (!signal.aborted) {
      const isOver = !isOpen()
      const more = this.#journal.eventsAfter(opId, last)
      for (const event of more) yield event
      last = more.at(-1)?.n ?? last
      if (isOver) return
      if (more.length === 0) await once(this.#waiting, opId, { signal }).catch(() => {})
    }
  }
}
