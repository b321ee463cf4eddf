import { setTimeout as delay } from 'node:timers/promises'
import pLimit, { type LimitFunction } from 'p-limit'

/** Handshakes at once with one sshd: with its defaults it begins to drop them at ten (MaxStartups). */
const atOnce = 8
const jitterMs = 30

const doors = new Map<string, LimitFunction>()

/**
 * Many hosts may stand behind one sshd, as behind a bastion: no more than it takes knock at once, and not all
 * in the same moment.
 * @param door what is connected to first: `bastion` or `host:port`
 */
export function atDoor<T>(door: string, knock: () => Promise<T>): Promise<T> {
  const limit = doors.get(door) ?? pLimit(atOnce)
  doors.set(door, limit)
  return limit(async () => {
    if (limit.activeCount > 1) await delay(Math.random() * jitterMs)
    return knock()
  })
}
