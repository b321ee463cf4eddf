const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** How long ago, or how soon, in the largest unit that fits. */
export function ago(iso: string, now = Date.now()): string {
  const ms = Date.parse(iso) - now
  const [unit, size] = units.find(([, size]) => Math.abs(ms) >= size) ?? (['second', 1000] as const)
  return relative.format(Math.round(ms / size), unit)
}

export const moment = (iso: string): string =>
  new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(1)} GB`
}

export const short = (digest: string): string => digest.slice(0, 12)

/** Good, bad, under way, or nothing of it: what a state's colour and sign say. */
export type Tone = 'good' | 'bad' | 'busy' | 'warn' | 'quiet'

const tones: Readonly<Record<string, Tone>> = {
  running: 'good',
  committed: 'good',
  unchanged: 'good',
  done: 'good',
  deploying: 'busy',
  reverting: 'busy',
  canary: 'busy',
  baking: 'busy',
  batch: 'busy',
  'rolling-back': 'busy',
  paused: 'warn',
  skipped: 'warn',
  reverted: 'warn',
  'rolled-back': 'warn',
  partial: 'bad',
  missed: 'warn',
  down: 'bad',
  failed: 'bad',
  aborted: 'bad',
  unreachable: 'bad',
  inconsistent: 'bad',
  unknown: 'bad',
  'revert-failed': 'bad',
}

export const toneOf = (state: string): Tone => tones[state] ?? 'quiet'
export const signOf: Readonly<Record<Tone, string>> = {
  good: '✓',
  bad: '✕',
  busy: '…',
  warn: '!',
  quiet: '·',
}
