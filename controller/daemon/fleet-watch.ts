import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { asDeployError } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import type { HostState } from '../history/host-states.ts'
import { openSession, readState, type SessionOptions } from '../push/session.ts'
import { isEnding } from '../rollout/machine.ts'
import { placeOf, type Site } from './site.ts'

const parallel = 4
const everyMs = 30_000
/** Asking takes some CPU: so many milliseconds for each host at least lie between two rounds. */
const perHostMs = 250
const lookMs = 2_000
const looked = 10

/** Asks all hosts what they run, again and again, and keeps the answers. */
export class FleetWatch {
  readonly #site: Site
  readonly #onChange: () => void
  readonly #leaving = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #ended: string | null = null
  #wake: () => void = () => {}
  /** Whether somebody asked for a look that has not begun. */
  #isWanted = false
  #running: Promise<void> | null = null

  constructor(site: Site, onChange: () => void) {
    this.#site = site
    this.#onChange = onChange
  }

  start(): void {
    this.#running ??= this.#loop()
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#leaving.abort()
    this.#wake()
    await this.#running
  }

  /** A rollout that came to its end, whoever drove it, has changed what runs. */
  #look() {
    const newest = this.#site.history.rollouts.list(null, null, looked)
    const ended = newest.filter(({ state }) => isEnding(state)).map(({ id, state }) => `${id} ${state}`)
    const told = ended.join()
    if (this.#ended !== null && told !== this.#ended) this.soon()
    this.#ended = told
  }

  /** Asks at once, such as after a rollout. */
  soon(): void {
    this.#isWanted = true
    this.#wake()
  }

  async #loop() {
    const { signal } = this.#leaving
    while (!signal.aborted) {
      this.#isWanted = false
      const hosts = await this.#round().catch((error: unknown) => {
        this.#site.say(`looking at the fleet: ${asDeployError(error).message}`)
        return 0
      })
      if (signal.aborted) return
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      // Asked for while the hosts were being asked: some may have answered before what happened.
      if (this.#isWanted) continue
      const waiting = new AbortController()
      const pause = delay(Math.max(everyMs, hosts * perHostMs), undefined, { signal: waiting.signal })
      await Promise.race([pause.catch(() => {}), woken])
      waiting.abort()
    }
  }

  async #round(): Promise<number> {
    const { projects } = await this.#site.projects.all()
    let count = 0
    for (const { config } of projects)
      for (const environment of Object.keys(config.environments))
        try {
          count += await this.#lookAt(config.service, environment)
        } catch (error) {
          // What is wrong with one is nothing to the others.
          this.#site.say(`looking at ${config.service} in ${environment}: ${asDeployError(error).message}`)
        }
    return count
  }

  /** @returns how many hosts were asked */
  async #lookAt(service: string, environment: string): Promise<number> {
    const { target, sessions } = await placeOf(this.#site, service, environment)
    const { signal } = this.#leaving
    const limit = pLimit(parallel)
    const one = async (host: HostTarget) =>
      signal.aborted ? null : ask(service, environment, host, sessions)
    const states = await Promise.all(target.hosts.map((host) => limit(() => one(host))))
    if (signal.aborted) return 0
    const { hostStates } = this.#site.history
    hostStates.keep(states.filter((state) => state !== null))
    hostStates.forget(
      service,
      environment,
      target.hosts.map(({ name }) => name),
    )
    this.#onChange()
    return states.length
  }
}

async function ask(
  service: string,
  environment: string,
  host: HostTarget,
  sessions: SessionOptions,
): Promise<HostState> {
  const base = { service, environment, host: host.name, at: new Date().toISOString() }
  try {
    const session = await openSession(host, sessions)
    try {
      const { challenge: _, ...state } = await readState(session, service)
      return { ...base, state, agent: session.hello.agent, error: null }
    } finally {
      session.client.close()
    }
  } catch (error) {
    const { code, message, nextStep } = asDeployError(error)
    return { ...base, state: null, agent: null, error: { code, message, next: nextStep } }
  }
}
