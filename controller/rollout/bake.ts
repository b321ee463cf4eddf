import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { asDeployError } from '../../shared/errors.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { parserOf } from '../../shared/schema.ts'
import { Sample } from '../../shared/wire/api.ts'
import type { HostTarget } from '../config/target.ts'
import { openSession, type Session } from '../push/session.ts'
import { compare, ownProblem } from './compare.decide.ts'
import type { WorkOptions } from './host-work.ts'

const sampleParser = parserOf(Sample)
const lookSeconds = 5
const looksAtLeast = 6
/** More than these tell nothing more. */
const othersAtMost = 10
/** A host that cannot be asked so often in a row is not well. */
const missesAtMost = 2

export type BakeOptions = Pick<WorkOptions, 'target' | 'sessions' | 'record' | 'emit'> & {
  signal: AbortSignal
}

/**
 * Watches hosts that have the new release for the time that the plan says; a canary is compared with hosts
 * that have the old one.
 * @param others hosts whose turn has not come
 * @returns what is wrong with them, in words; null when nothing is
 */
export async function bakeHosts(
  hosts: readonly string[],
  others: readonly string[],
  plan: RolloutPlan,
  batch: number,
  options: BakeOptions,
): Promise<string | null> {
  const { record, signal, emit } = options
  const isCanary = plan.canary && batch === 0
  const bakeMs = plan.policy.bakeSeconds[isCanary ? 'canary' : 'batch'] * 1000
  const pauseMs = Math.min(lookSeconds * 1000, bakeMs / looksAtLeast)
  const { service, release } = record.details.what
  const untilMs = performance.now() + bakeMs
  await using lookers = new Lookers(service, options)
  const compared = isCanary ? others.slice(0, othersAtMost) : []
  for (;;) {
    await lookers.look([...hosts, ...compared])
    for (const host of hosts) {
      const problem = lookers.problem(host) ?? ownProblem(host, lookers.seen(host), release)
      if (problem !== null) return problem
    }
    if (compared.length > 0)
      emit({ type: 'bake', lines: compare(hosts.map(lookers.seen), compared.map(lookers.seen)) })
    const leftMs = untilMs - performance.now()
    if (signal.aborted) return null
    if (leftMs <= 0) break
    await delay(Math.min(leftMs, pauseMs), undefined, { signal })
  }
  if (compared.length === 0) return null
  const lines = compare(hosts.map(lookers.seen), compared.map(lookers.seen))
  emit({ type: 'comparison', canary: hosts, others: compared, lines })
  const worse = lines.filter(({ isWorse }) => isWorse).map(({ what }) => what)
  return worse.length === 0 ? null : `the canary does worse than the others: ${worse.join('; ')}`
}

/** Connections that are kept from one look to the next, and what was seen. */
class Lookers implements AsyncDisposable {
  readonly #service: string
  readonly #options: BakeOptions
  readonly #targets: ReadonlyMap<string, HostTarget>
  readonly #open = new Map<string, Session>()
  readonly #seen = new Map<string, Sample[]>()
  readonly #misses = new Map<string, string[]>()

  constructor(service: string, options: BakeOptions) {
    this.#service = service
    this.#options = options
    this.#targets = new Map(options.target.hosts.map((target) => [target.name, target]))
  }

  seen = (host: string): readonly Sample[] => this.#seen.get(host) ?? []

  problem(host: string): string | null {
    const misses = this.#misses.get(host) ?? []
    return misses.length >= missesAtMost ? `${host}: ${misses.at(-1)}` : null
  }

  async look(hosts: readonly string[]): Promise<void> {
    const limit = pLimit(this.#options.target.rollout.policy.parallel)
    await Promise.all(hosts.map((host) => limit(() => this.#lookAt(host))))
  }

  async #lookAt(host: string) {
    const target = this.#targets.get(host)
    try {
      if (!target) throw new Error('it is not in deploy.yaml any more')
      const session = this.#open.get(host) ?? (await openSession(target, this.#options.sessions))
      this.#open.set(host, session)
      const sample = await session.client.get(`/v1/services/${this.#service}/sample`, sampleParser)
      this.#seen.set(host, [...(this.#seen.get(host) ?? []), sample])
      this.#misses.delete(host)
    } catch (error) {
      this.#open.get(host)?.client.close()
      this.#open.delete(host)
      this.#misses.set(host, [...(this.#misses.get(host) ?? []), asDeployError(error).message])
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client } of this.#open.values()) client.close()
  }
}
