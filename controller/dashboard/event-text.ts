import { bytes, duration } from './words.ts'

/** An event of a rollout in words; null for what a grid shows better. */
export function eventText(event: Record<string, unknown> & { type: string }): string | null {
  const value = (key: string) => {
    const found = event[key]
    return typeof found === 'string' || typeof found === 'number' ? String(found) : ''
  }
  if (event.type === 'rollout') {
    const why = value('why')
    return `${value('state')}, batch ${value('batch')} of ${value('batches')}${why === '' ? '' : `: ${why}`}`
  }
  if (event.type === 'result') {
    const error = event['error'] as { code: string; message: string } | null
    const how = `${value('result')} by ${value('strategy')} in ${duration(Number(event['ms']))}`
    return `${value('host')}: ${how}${error ? `: ${error.code} ${error.message}` : ''}`
  }
  if (event.type === 'event') return hostText(value('host'), event['event'] as HostEvent)
  if (event.type === 'stage') return `${value('host')}: ${value('stage')}`
  if (event.type === 'comparison') return comparisonText(event['lines'] as Compared[])
  if (event.type === 'progress') return null
  return event.type === 'bake' ? null : `${value('host')} ${event.type}`
}

type HostEvent = { type: string; data: Record<string, unknown> }
type Compared = { what: string; canary: number | null; others: number | null; isWorse: boolean }

function hostText(host: string, { type, data }: HostEvent): string | null {
  if (type === 'evidence' || type === 'receipt') return null
  const parts = ['state', 'strategy', 'why', 'message', 'line'].flatMap((key) => {
    const found = data[key]
    return typeof found === 'string' ? [found] : []
  })
  const size = typeof data['bytes'] === 'number' ? [bytes(data['bytes'])] : []
  return `${host}: ${[type, ...parts, ...size].join(' ')}`
}

const comparisonText = (lines: readonly Compared[]) =>
  `the canary beside the others: ${lines
    .map(({ what, isWorse }) => `${what} ${isWorse ? 'WORSE' : 'as well'}`)
    .join(', ')}`
