import { setTimeout as delay } from 'node:timers/promises'
import { asDeployError } from '../../shared/errors.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { openSession, readState, type Session } from '../push/session.ts'
import type { WorkOptions } from './host-work.ts'

const lookSeconds = 5

export type BakeOptions = Pick<WorkOptions, 'target' | 'sessions' | 'record' | 'emit'> & {
  signal: AbortSignal
}

/**
 * Watches hosts that have the new release for the time that the plan says.
 * @returns what is wrong with them, in words; null when nothing is
 */
export async function bakeHosts(
  hosts: readonly string[],
  plan: RolloutPlan,
  batch: number,
  { target, sessions, record, signal }: BakeOptions,
): Promise<string | null> {
  const { canary, batch: later } = plan.policy.bakeSeconds
  const untilMs = performance.now() + (plan.canary && batch === 0 ? canary : later) * 1000
  const { service, release } = record.details.what
  const open = new Map<string, Session>()
  try {
    for (;;) {
      const leftMs = untilMs - performance.now()
      if (leftMs <= 0 || signal.aborted) return null
      await delay(Math.min(leftMs, lookSeconds * 1000), undefined, { signal })
      for (const host of target.hosts.filter(({ name }) => hosts.includes(name))) {
        try {
          const session = open.get(host.name) ?? (await openSession(host, sessions))
          open.set(host.name, session)
          const { active, instances } = await readState(session, service)
          const own = instances.find((one) => one.release === release)
          if (active !== release) return `${host.name} does not run it any more`
          if (!own || own.state !== 'running') return `${host.name}: it does not run`
          if (own.restarts > 0) return `${host.name}: it was started again ${own.restarts} times`
        } catch (error) {
          open.get(host.name)?.client.close()
          open.delete(host.name)
          return `${host.name}: ${asDeployError(error).message}`
        }
      }
    }
  } finally {
    for (const { client } of open.values()) client.close()
  }
}
