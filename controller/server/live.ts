import type { ServerResponse } from 'node:http'
import type { Daemon } from '../daemon/daemon.ts'
import { rolloutSummaries } from './views/rollouts.ts'

/** Somebody who watches; `after` is the last event of the rollout that it has. */
type Watcher = { response: ServerResponse; rollout: string | null; after: number }

const lookMs = 400
const pulseMs = 15_000
const newest = 20
const most = 1000
/** Who takes so little that this piles up is let go, and comes again. */
const maxWaitingBytes = 1024 * 1024

/**
 * Server-sent events. Others write into the database as well, so it is looked at: by one for all, and only
 * while somebody watches.
 */
export class Live {
  readonly #daemon: Daemon
  readonly #watchers = new Set<Watcher>()
  /** What was told of each rollout last; null until somebody has looked. */
  #seen: ReadonlyMap<string, string> | null = null
  #timer: NodeJS.Timeout | null = null
  #pulsedMs = 0

  constructor(daemon: Daemon) {
    this.#daemon = daemon
    daemon.events.on('fleet', () => this.#toAll('fleet', {}))
    daemon.events.on('schedules', () => this.#toAll('schedules', {}))
  }

  get count(): number {
    return this.#watchers.size
  }

  get isFull(): boolean {
    return this.#watchers.size >= most
  }

  /** @param rollout whose events it wants as well, those after `after` first */
  add(response: ServerResponse, rollout: string | null, after: number): void {
    const watcher = { response, rollout, after }
    this.#watchers.add(watcher)
    response.once('close', () => this.#remove(watcher))
    response.write('retry: 2000\n\n')
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#look(), lookMs)
      this.#look()
    } else this.#catchUp(watcher)
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer)
    for (const { response } of this.#watchers) response.end()
  }

  #remove(watcher: Watcher) {
    this.#watchers.delete(watcher)
    if (this.#watchers.size > 0 || !this.#timer) return
    clearInterval(this.#timer)
    this.#timer = null
    this.#seen = null
  }

  #look() {
    const { history } = this.#daemon.site
    const before = this.#seen
    const summaries = rolloutSummaries(history, {}, newest)
    this.#seen = new Map(summaries.map((summary) => [summary.id, JSON.stringify(summary)]))
    for (const summary of summaries)
      // What was so when the first came, everybody reads for themselves.
      if (before && before.get(summary.id) !== this.#seen.get(summary.id)) this.#toAll('rollout', summary)
    for (const watcher of this.#watchers) this.#catchUp(watcher)
    if (Date.now() - this.#pulsedMs < pulseMs) return
    this.#pulsedMs = Date.now()
    for (const { response } of this.#watchers) response.write(': still here\n\n')
  }

  #catchUp(watcher: Watcher) {
    const { rollout, after, response } = watcher
    if (rollout === null) return
    for (const { n, at, event } of this.#daemon.site.history.rollouts.eventsAfter(rollout, after)) {
      watcher.after = n
      this.#write(response, `id: ${n}\nevent: event\ndata: ${JSON.stringify({ n, at, event })}\n\n`)
    }
  }

  #toAll(type: string, data: unknown) {
    const text = `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
    for (const { response } of this.#watchers) this.#write(response, text)
  }

  #write(response: ServerResponse, text: string) {
    if (response.writableLength > maxWaitingBytes) response.destroy()
    else response.write(text)
  }
}
