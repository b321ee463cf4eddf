import parseMetrics from 'parse-prometheus-text-format'
import type { MetricsSpec } from '../../shared/formats/service-spec.ts'
import type { Sample } from '../../shared/wire/api.ts'

type Wanted = NonNullable<MetricsSpec['requests']>
type Series = { labels?: Record<string, string>; value?: string }

/**
 * What is asked for of a service's metrics; what it does not have is null.
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/
 * @throws Error when it is not that format
 */
export function readMetrics(text: string, spec: MetricsSpec): NonNullable<Sample['metrics']> {
  // Without the types every bucket is a series of its own: the parser joins those of several label sets wrongly.
  const families = parseMetrics(text.replaceAll(/^#.*$/gm, '')) as { name: string; metrics: Series[] }[]
  const seriesOf = ({ name, labels = {} }: Wanted) =>
    families
      .filter((family) => family.name === name)
      .flatMap(({ metrics }) => metrics.filter((one) => hasLabels(one, labels)))
  return {
    requests: spec.requests ? sum(seriesOf(spec.requests)) : null,
    errors: spec.errors ? sum(seriesOf(spec.errors)) : null,
    latency: spec.latency
      ? buckets(seriesOf({ ...spec.latency, name: `${spec.latency.name}_bucket` }))
      : null,
  }
}

const hasLabels = ({ labels = {} }: Series, wanted: Record<string, string>) =>
  Object.entries(wanted).every(([name, value]) => {
    const own = labels[name] ?? ''
    return value.endsWith('*') ? own.startsWith(value.slice(0, -1)) : own === value
  })

/** A counter that has not counted yet may not be there at all. */
const sum = (series: readonly Series[]): number =>
  series.reduce((total, { value }) => total + finite(value), 0)

function buckets(series: readonly Series[]): [number | null, number][] | null {
  const total = new Map<number, number>()
  for (const { labels = {}, value } of series) {
    const bound = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le'])
    if (!Number.isNaN(bound)) total.set(bound, (total.get(bound) ?? 0) + finite(value))
  }
  if (total.size === 0) return null
  const sorted = [...total].sort(([a], [b]) => a - b).slice(0, maxBuckets)
  return sorted.map(([bound, count]) => [Number.isFinite(bound) ? bound : null, count])
}

const maxBuckets = 512

function finite(text: string | undefined): number {
  const value = Number(text)
  return Number.isFinite(value) && value > 0 ? value : 0
}
