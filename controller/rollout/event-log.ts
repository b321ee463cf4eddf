import type { Rollouts } from '../history/rollouts.ts'
import type { PushEvent } from '../push/events.ts'

/** What happened in a rollout, for whoever looks on or asks later; written now and then, many at once. */
export class EventLog {
  readonly #rollouts: Rollouts
  readonly #id: string
  #waiting: { at: string; event: unknown }[] = []

  constructor(rollouts: Rollouts, id: string) {
    this.#rollouts = rollouts
    this.#id = id
  }

  add(event: PushEvent): void {
    if (event.type === 'progress') return
    const told = event.type === 'result' ? { ...event, error: event.error?.toJSON() ?? null } : event
    this.#waiting.push({ at: new Date().toISOString(), event: told })
  }

  flush(): void {
    const due = this.#waiting
    this.#waiting = []
    this.#rollouts.addEvents(this.#id, due)
  }
}
