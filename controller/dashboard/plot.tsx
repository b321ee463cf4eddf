import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { RolloutEvent } from './live.ts'

type Line = { what: string; canary: number | null; others: number | null; limit: number | null; unit: string }
type Series = {
  what: string
  unit: string
  data: [number[], (number | null)[], (number | null)[], (number | null)[]]
}

/** How the canary does beside the others, over the time that it is watched. */
export function BakePlots({ events }: { events: readonly RolloutEvent[] }) {
  const all = seriesOf(events).filter(({ data }) => data[1].some((value) => value !== null))
  if (all.length === 0) return null
  return (
    <section aria-label="The canary beside the others">
      <h2>The canary beside the others</h2>
      <div class="plots">
        {all.map((one) => (
          <Plot key={one.what} of={one} />
        ))}
      </div>
    </section>
  )
}

function seriesOf(events: readonly RolloutEvent[]): Series[] {
  const found = new Map<string, Series>()
  for (const { at, event } of events) {
    if (event.type !== 'bake') continue
    for (const { what, unit, canary, others, limit } of event['lines'] as Line[]) {
      const series = found.get(what) ?? { what, unit, data: [[], [], [], []] }
      found.set(what, series)
      series.data[0].push(Date.parse(at) / 1000)
      series.data[1].push(canary)
      series.data[2].push(others)
      series.data[3].push(limit)
    }
  }
  return [...found.values()]
}

function Plot({ of: { what, unit, data } }: { of: Series }) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  useEffect(() => {
    if (!place.current) return
    const style = getComputedStyle(document.documentElement)
    const colour = (name: string) => style.getPropertyValue(name).trim()
    const axis = { stroke: colour('--text'), grid: { stroke: colour('--line') } }
    plot.current = new uPlot(
      {
        width: place.current.clientWidth,
        height: 160,
        legend: { show: true },
        series: [
          {},
          { label: 'canary', stroke: colour('--busy'), width: 2 },
          { label: 'others', stroke: colour('--good'), width: 2 },
          { label: 'limit', stroke: colour('--bad'), width: 1, dash: [5, 5] },
        ],
        axes: [axis, { ...axis, label: unit }],
      },
      data,
      place.current,
    )
    return () => plot.current?.destroy()
  }, [])
  useEffect(() => plot.current?.setData(data), [data[0].length])
  const last = data[0].length - 1
  const told = (value: number | null | undefined) =>
    value === null || value === undefined ? 'nothing yet' : value.toPrecision(3)
  return (
    <figure>
      <figcaption>
        {what} ({unit}): canary {told(data[1][last])}, others {told(data[2][last])}, limit{' '}
        {told(data[3][last])}
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  )
}
