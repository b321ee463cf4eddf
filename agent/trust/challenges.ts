import { randomBytes } from 'node:crypto'

/** A client that asks for many challenges only pushes out its own older ones. */
const outstandingPerService = 32

/**
 * One-time numbers that prove an order was signed for this moment. Kept in memory only: after a
 * restart of the agent an old order cannot be fresh, and the client signs anew.
 */
export class Challenges {
  readonly #outstanding = new Map<string, string[]>()

  issue(service: string): string {
    const challenge = randomBytes(32).toString('hex')
    const list = [...(this.#outstanding.get(service) ?? []), challenge]
    this.#outstanding.set(service, list.slice(-outstandingPerService))
    return challenge
  }

  isFresh(service: string, challenge: string): boolean {
    return this.#outstanding.get(service)?.includes(challenge) ?? false
  }

  /** Called once an order is accepted; all older challenges of the service end with it. */
  consume(service: string): void {
    this.#outstanding.delete(service)
  }
}
