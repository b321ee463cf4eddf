/** What became of one slot of a schedule. */
export type RunState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped' | 'missed'

/** A slot that came, and what is to become of it. Times are in milliseconds. */
export type Coming =
  | { slot: number; state: 'waiting'; begins: number }
  | { slot: number; state: 'skipped' | 'missed'; why: string }

export type DueOptions = {
  now: number
  lateMs: number
  jitterMs: number
  /** Whether a former run waits or is under way. */
  isBusy: boolean
  /** A number from 0 to 1 that is the same for the same slot. */
  chance: (slot: number) => number
}

/** No process looks at the clock at the very moment; so late is not late. */
export const graceMs = 60_000

/**
 * What becomes of slots that have come since somebody last looked, oldest first. Of several only the newest
 * can be run: to run the others as well would be no use to anybody.
 */
export function comingOf(slots: readonly number[], options: DueOptions): Coming[] {
  const { now, lateMs, jitterMs, isBusy, chance } = options
  return slots.map((slot, index): Coming => {
    if (index < slots.length - 1) return { slot, state: 'missed', why: 'the one after it was due as well' }
    if (now - slot > Math.max(lateMs, graceMs))
      return { slot, state: 'missed', why: 'nobody was there to begin it' }
    if (isBusy) return { slot, state: 'skipped', why: 'the run before it was still under way' }
    return { slot, state: 'waiting', begins: slot + Math.floor(jitterMs * chance(slot)) }
  })
}

/**
 * Whether a run that waits may begin.
 * @param closed why nothing may be deployed now; null when it may
 */
export function readiness(
  { begins }: { begins: number },
  { now, lateMs, closed }: { now: number; lateMs: number; closed: string | null },
): 'wait' | 'begin' | { missed: string } {
  if (now < begins) return 'wait'
  if (closed === null) return 'begin'
  return now - begins > Math.max(lateMs, graceMs) ? { missed: closed } : 'wait'
}
