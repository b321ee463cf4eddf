import { setTimeout as delay } from 'node:timers/promises'
import type { RolloutRecord, Rollouts } from '../history/rollouts.ts'

const lookMs = 300

/** Tells what happened in a rollout and what happens, until it has no driver on this machine any more. */
export async function untilLeft(
  rollouts: Rollouts,
  id: string,
  onEvent: (event: unknown) => void,
): Promise<RolloutRecord | null> {
  let last = 0
  for (;;) {
    const isDriven = rollouts.isDriven(id)
    for (const { n, event } of rollouts.eventsAfter(id, last)) {
      last = n
      onEvent(event)
    }
    if (!isDriven) return rollouts.load(id)
    await delay(lookMs)
  }
}
