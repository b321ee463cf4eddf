import prettyBytes from 'pretty-bytes'
import prettyMs from 'pretty-ms'

/** An instant as people read it, to the minute. */
export const moment = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`

export const bytes = (count: number): string => prettyBytes(count)

export const duration = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : prettyMs(ms, { unitCount: 2, secondsDecimalDigits: 1 })

export const short = (digest: string): string => digest.slice(0, 12)

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]

/** `3 minutes ago`; the date itself once it is weeks ago. */
export function ago(iso: string, nowMs: number = Date.now()): string {
  const seconds = Math.round((nowMs - Date.parse(iso)) / 1000)
  if (seconds >= 14 * 86_400) return iso.slice(0, 16).replace('T', ' ')
  const [unit, size] = units.find(([, length]) => seconds >= length) ?? ['second', 1]
  return new Intl.RelativeTimeFormat('en', { numeric: 'always' }).format(-Math.floor(seconds / size), unit)
}
