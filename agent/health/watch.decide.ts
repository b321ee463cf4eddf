import type { ProbeAnswer } from './probe.ts'

/** What is seen of an instance in one round; times are milliseconds since it was started. */
export type Observation = {
  atMs: number
  /** How it ended since it was started; null while it runs. */
  ended: string | null
  /** Empty for a service without probes: then running is all that is asked. */
  answers: readonly ProbeAnswer[]
}

export type Limits = { deadlineMs: number; minHealthyMs: number }

/** `goodSinceMs`: since when every round was good; null while the last one was not. */
export type Watch = { goodSinceMs: number | null }

export type Verdict =
  | { verdict: 'wait'; watch: Watch }
  | { verdict: 'healthy' }
  | { verdict: 'failed'; why: string }

/**
 * Healthy after the minimum healthy time in one piece; a service that ends has failed at once, one that
 * is not healthy by the deadline has failed with its last answer.
 */
export function judgeHealth(watch: Watch, seen: Observation, limits: Limits): Verdict {
  if (seen.ended !== null) return { verdict: 'failed', why: `it ended (${seen.ended})` }
  const bad = seen.answers.find(({ ok }) => !ok)
  const goodSinceMs = bad ? null : (watch.goodSinceMs ?? seen.atMs)
  if (goodSinceMs !== null && seen.atMs - goodSinceMs >= limits.minHealthyMs) return { verdict: 'healthy' }
  // One that became good in time may finish its minimum healthy time.
  const late = seen.atMs >= limits.deadlineMs + (goodSinceMs === null ? 0 : limits.minHealthyMs)
  if (!late) return { verdict: 'wait', watch: { goodSinceMs } }
  const why = bad ? bad.detail : 'it did not stay healthy long enough'
  return { verdict: 'failed', why: `${why}, ${Math.round(limits.deadlineMs / 1000)} s after its start` }
}
