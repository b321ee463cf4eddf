import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import type { Clock } from '../clock.ts'
import type { Entry } from '../journal/rows.ts'

const pollMs = 500

type Waiting = { entry: Entry; confirmed: AbortController; confirmSeconds: number }

/**
 * Returns when somebody has confirmed.
 * @throws DeployError E_SERVICE_START when the service ends before, E_CONFIRM_TIMEOUT when the time is over
 */
export async function awaitConfirm(
  { entry, confirmed, confirmSeconds }: Waiting,
  { clock, howEnded }: { clock: Clock; howEnded: () => Promise<string | null> },
): Promise<void> {
  while (!confirmed.signal.aborted && clock.uptimeMs() < (entry.life.confirmBy ?? 0)) {
    const how = await howEnded()
    if (how !== null)
      throw new DeployError('E_SERVICE_START', { why: `it ended (${how}) before it was confirmed` })
    await delay(pollMs, undefined, { signal: confirmed.signal }).catch(() => {})
  }
  if (!confirmed.signal.aborted) throw new DeployError('E_CONFIRM_TIMEOUT', { seconds: confirmSeconds })
}
