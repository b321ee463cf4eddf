import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** An abstract socket: the kernel lets go of it with the process, so that no lock can stay behind. */
const name = '\0deployctl-setup'
const patienceMs = 120_000
const retryMs = 200

/**
 * Waits until nobody else sets this host up: whoever began before and was cut off finishes first.
 * @throws Error when that takes too long
 */
export async function takeTurn(): Promise<void> {
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await delay(retryMs))
    if (await isFree()) return
  throw new Error('somebody else is setting this host up, and does not come to an end')
}

/** Holds the socket until this process ends. */
function isFree(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy()).unref()
    server.once('error', () => resolve(false)).listen(name, () => resolve(true))
  })
}
