import pLimit from 'p-limit'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import type { RolloutDetails, RolloutRecord } from '../history/rollouts.ts'
import { checkAuthority } from '../push/authority.ts'
import type { DeployOptions, Ready } from '../push/deploy-options.ts'
import { environmentOf, makeOrder, type SignedOrder } from '../push/order.ts'
import { openSession, readState } from '../push/session.ts'
import type { What } from '../push/what.ts'

/** What there is to do on a host: an order, or nothing for a reason. */
export type Prepared =
  | { ready: Ready; order: SignedOrder }
  | { result: 'unchanged'; why: string }
  | { result: 'skipped' | 'aborted'; error: DeployError }

export type WorkOptions = DeployOptions & {
  record: RolloutRecord
  /** Hosts that are connected already, by name; they are used, and closed after their turn unless kept. */
  ready: Map<string, Ready>
  keepsConnections: boolean
}

/** Who was idle for longer may have been forgotten by somebody on the way, and have changed. */
const freshMs = 60_000
const unreachable = new Set(['E_SSH_CONNECT', 'E_CONNECTION_LOST', 'E_SSH_SUBSYSTEM', 'E_AGENT_DOWN'])

/** Connections and orders of a rollout's hosts: got ready for many at once, since one signature does for all. */
export class HostWork {
  readonly #options: WorkOptions
  readonly #prepared = new Map<string, Prepared>()
  readonly #targets: ReadonlyMap<string, HostTarget>
  readonly #openedMs = new Map<string, number>()
  readonly #beganMs = performance.now()

  constructor(options: WorkOptions) {
    this.#options = options
    this.#targets = new Map(options.target.hosts.map((target) => [target.name, target]))
  }

  prepared(host: string): Prepared | undefined {
    return this.#prepared.get(host)
  }

  /** A connection to a host. @throws DeployError as openSession, E_HOST_UNKNOWN */
  async connect(host: string): Promise<Ready> {
    const known = this.#options.ready.get(host)
    const isFresh = performance.now() - (this.#openedMs.get(host) ?? this.#beganMs) < freshMs
    if (known && isFresh && !known.session.client.isClosed) return known
    known?.session.client.close()
    const target = this.#targets.get(host)
    const { target: own, sessions, record } = this.#options
    if (!target)
      throw new DeployError('E_HOST_UNKNOWN', {
        environment: own.environment.name,
        name: host,
        known: [...this.#targets.keys()].join(', '),
      })
    const beganMs = performance.now()
    const session = await openSession(target, sessions)
    const ready = { session, state: await readState(session, record.details.what.service), beganMs }
    this.#options.ready.set(host, ready)
    this.#openedMs.set(host, beganMs)
    return ready
  }

  /** The host had its turn. */
  done(host: string): void {
    this.#prepared.delete(host)
    if (this.#options.keepsConnections) return
    this.#options.ready.get(host)?.session.client.close()
    this.#options.ready.delete(host)
  }

  /** Afterwards there is an order for each of these hosts, or the reason why there is none. */
  async prepareDeploy(hosts: readonly string[]): Promise<void> {
    const { details, rollout } = this.#options.record
    const ready = await this.#connectAll(hosts, details.onUnreachable === 'skip' ? 'skipped' : 'aborted')
    const todo = ready.filter((one) => this.#isToChange(one))
    if (todo.length > 0) await this.#order(todo, details.what, rollout.plan)
  }

  /** The same, to take a host back to what it ran before. @param why what the rollout is taken back for */
  async prepareRevert(hosts: readonly string[], why: string | null): Promise<void> {
    const { details, rollout } = this.#options.record
    const ready = await this.#connectAll(hosts, 'aborted')
    const groups = new Map<string, Ready[]>()
    for (const one of ready) {
      const back = this.#whereBack(one, details)
      if (back !== null) groups.set(back, [...(groups.get(back) ?? []), one])
    }
    for (const [release, group] of groups) {
      const { history } = this.#options
      const releaseSignatures = history.manifest(release)?.signatures ?? []
      const version = group[0]?.state.version ?? release.slice(0, 12)
      const back = { ...details.what, action: 'rollback', release, releaseSignatures, version } as const
      const reason =
        `rollout ${rollout.plan.id.slice(0, 8)} taken back${why === null ? '' : `: ${why}`}`.slice(0, 1024)
      await this.#order(group, { ...back, strategy: 'auto', provenance: null, reason }, rollout.plan)
    }
  }

  async #connectAll(hosts: readonly string[], ifAway: 'skipped' | 'aborted'): Promise<Ready[]> {
    const limit = pLimit(this.#options.target.rollout.policy.parallel)
    const ready: Ready[] = []
    const connect = async (host: string) => {
      try {
        ready.push(await this.connect(host))
      } catch (error) {
        const failure = asDeployError(error)
        const result = unreachable.has(failure.code) ? ifAway : 'aborted'
        this.#prepared.set(host, { result, error: failure })
      }
    }
    await Promise.all(hosts.map((host) => limit(() => connect(host))))
    return ready
  }

  /** Nobody's release is gone over who came in between, and nothing is done that is done. */
  #isToChange({ session, state }: Ready): boolean {
    const { record } = this.#options
    const host = session.target.name
    const { digest } = environmentOf({ target: record.details })
    if (state.active === record.details.what.release && state.environment === digest) {
      this.#prepared.set(host, { result: 'unchanged', why: 'it runs this release already' })
      return false
    }
    const before = record.hosts[host]?.before
    if (before === undefined || before === state.active) return true
    const told = (digest: string | null) => digest?.slice(0, 12) ?? 'nothing'
    const facts = { host, before: told(before), now: told(state.active) }
    this.#prepared.set(host, { result: 'aborted', error: new DeployError('E_CHANGED_MEANWHILE', facts) })
    return false
  }

  #whereBack({ session, state }: Ready, { what }: RolloutDetails): string | null {
    const host = session.target.name
    const before = this.#options.record.hosts[host]?.before ?? state.previous
    if (state.active !== what.release) {
      this.#prepared.set(host, { result: 'unchanged', why: 'it does not run this release any more' })
      return null
    }
    if (before !== null) return before
    const error = new DeployError('E_NOTHING_TO_ROLL_BACK', { service: what.service, host })
    this.#prepared.set(host, { result: 'aborted', error })
    return null
  }

  async #order(ready: readonly Ready[], what: What, plan: RolloutRecord['rollout']['plan']) {
    checkAuthority(ready, what, this.#options, environmentOf(this.#options))
    const order = await makeOrder(ready, what, this.#options, plan)
    for (const one of ready) this.#prepared.set(one.session.target.name, { ready: one, order })
  }
}
