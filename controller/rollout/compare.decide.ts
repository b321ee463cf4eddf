import type { Sample } from '../../shared/wire/api.ts'

/** What was seen of one host while its release was watched, oldest first. */
export type Watched = readonly Sample[]

/** One thing that was compared. Numbers are null where there was too little to go by. */
export type Comparison = {
  what: string
  canary: number | null
  others: number | null
  /** The canary may have up to this. */
  limit: number | null
  unit: 'ratio' | 'ms'
  isWorse: boolean
}

const fewestRequests = 20
const fewestProbes = 3
const worse = {
  probes: 0.05,
  errors: 0.01,
  errorsTimes: 2,
  latencyTimes: 1.5,
  probeMs: 20,
  latencyMs: 10,
} as const

/**
 * What is wrong with a host by itself, whatever the others do; null when nothing is.
 * @param release digest that it should run
 */
export function ownProblem(host: string, samples: Watched, release: string): string | null {
  const last = samples.at(-1)
  if (!last) return null
  if (last.active !== release) return `${host} does not run it any more`
  if (!last.isRunning) return `${host}: it does not run`
  if (last.restarts > 0) return `${host}: it was started again ${last.restarts} times`
  const failing = samples.slice(-2).flatMap(({ probes }) => probes.filter(({ ok }) => !ok).slice(0, 1))
  return failing.length === 2 ? `${host}: ${failing[1]?.detail}` : null
}

/**
 * Hosts with the new release against hosts with the old one. The rules are plain: probes that fail in 5 % more
 * of the tries; twice the error ratio and 1 % more; half as slow again, and 20 ms (probes) or 10 ms (requests).
 */
export function compare(canary: readonly Watched[], others: readonly Watched[]): Comparison[] {
  return [
    judge(
      'probes that fail',
      'ratio',
      failedProbes(canary),
      failedProbes(others),
      (own) => own + worse.probes,
    ),
    judge(
      'time of a probe, median',
      'ms',
      probeMs(canary),
      probeMs(others),
      (own) => own * worse.latencyTimes + worse.probeMs,
    ),
    judge(
      'requests that fail',
      'ratio',
      errorRatio(canary),
      errorRatio(others),
      (own) => own * worse.errorsTimes + worse.errors,
    ),
    judge(
      'time of a request, 95 of 100',
      'ms',
      latency(canary),
      latency(others),
      (own) => own * worse.latencyTimes + worse.latencyMs,
    ),
  ]
}

function judge(
  what: string,
  unit: Comparison['unit'],
  canary: number | null,
  others: number | null,
  limitOf: (others: number) => number,
): Comparison {
  const limit = others === null ? null : limitOf(others)
  return { what, canary, others, limit, unit, isWorse: canary !== null && limit !== null && canary > limit }
}

function failedProbes(hosts: readonly Watched[]): number | null {
  const probes = hosts.flat().flatMap((sample) => sample.probes)
  return probes.length < fewestProbes ? null : probes.filter(({ ok }) => !ok).length / probes.length
}

function probeMs(hosts: readonly Watched[]): number | null {
  const times = hosts
    .flat()
    .flatMap((sample) => sample.probes.filter(({ ok }) => ok).map(({ ms }) => ms))
    .sort((a, b) => a - b)
  return times.length < fewestProbes ? null : (times[Math.floor(times.length / 2)] ?? null)
}

/** What was counted between the first and the last look; a program that was started anew counts from zero. */
function counted(samples: Watched, of: (sample: Sample) => number | null): number {
  const values = samples.flatMap((sample) => of(sample) ?? [])
  let total = 0
  for (const [index, value] of values.entries()) {
    const before = values[index - 1]
    if (before !== undefined) total += value >= before ? value - before : value
  }
  return total
}

function errorRatio(hosts: readonly Watched[]): number | null {
  const of = (key: 'requests' | 'errors') =>
    hosts.reduce((sum, one) => sum + counted(one, ({ metrics }) => metrics?.[key] ?? null), 0)
  const requests = of('requests')
  return requests < fewestRequests ? null : of('errors') / requests
}

/** The quantile by linear interpolation within its bucket, as Prometheus' histogram_quantile has it. */
function latency(hosts: readonly Watched[], quantile = 0.95): number | null {
  const bounds = [
    ...new Set(
      hosts
        .flat()
        .flatMap(({ metrics }) =>
          (metrics?.latency ?? []).map(([bound]) => bound ?? Number.POSITIVE_INFINITY),
        ),
    ),
  ].sort((a, b) => a - b)
  const upTo = bounds.map((bound) =>
    hosts.reduce(
      (sum, one) =>
        sum +
        counted(
          one,
          ({ metrics }) =>
            metrics?.latency?.find(([own]) => (own ?? Number.POSITIVE_INFINITY) === bound)?.[1] ?? null,
        ),
      0,
    ),
  )
  const total = upTo.at(-1) ?? 0
  if (total < fewestRequests) return null
  const rank = quantile * total
  const index = upTo.findIndex((count) => count >= rank)
  const [low, high] = [bounds[index - 1] ?? 0, bounds[index] ?? 0]
  if (!Number.isFinite(high)) return low * 1000
  const [before, count] = [upTo[index - 1] ?? 0, upTo[index] ?? 0]
  return (low + ((high - low) * (rank - before)) / Math.max(1, count - before)) * 1000
}
