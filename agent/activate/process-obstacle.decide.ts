import { shortList } from '../../shared/plan/changes.ts'
import type { HotStatus } from '../../shared/wire/control.ts'

/** Beyond this many former releases whose code something holds, a new process is better. */
const maxPinned = 10
/** Of the largest heap that V8 gives the program. */
const maxHeapShare = 0.8

/** `isCurable`: collecting garbage may remove it. */
export type ProcessObstacle = { why: string; isCurable: boolean }

/** Why a running program is not to take in another release; null when it may. */
export function obstacleInProcess(status: HotStatus | null, active: string): ProcessObstacle | null {
  const lasting = (why: string) => ({ why, isCurable: false })
  if (status === null) return lasting('the program that runs cannot exchange its code, or does not answer')
  if (status.release !== active) return lasting('the program says that it runs another release')
  if (status.unconfirmed) return lasting('its last swap was never confirmed')
  const { pinned, heap } = status
  if (pinned.length > maxPinned) {
    const names = shortList([...new Set(pinned.flatMap(({ paths }) => paths))])
    const why = `timers, listeners or closures hold the code of ${pinned.length} former releases (${names}): a new process begins afresh`
    return { why, isCurable: true }
  }
  if (heap.used <= heap.limit * maxHeapShare) return null
  return { why: `it uses ${Math.round((heap.used / heap.limit) * 100)} % of its heap`, isCurable: true }
}
