import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const idle = 0
const armed = 1
const fired = 2
const startMs = 1_000

// In a thread of its own, since the thread that it watches may never come to look at a clock.
const thread = `
const { workerData: { state, pid, bytes, everyMs } } = require('node:worker_threads')
const flag = new Int32Array(state)
for (;;) {
  Atomics.wait(flag, 0, ${idle})
  Atomics.wait(flag, 0, ${fired})
  const before = process.memoryUsage.rss()
  while (Atomics.load(flag, 0) === ${armed}) {
    const grown = process.memoryUsage.rss() - before
    if (grown > bytes && Atomics.compareExchange(flag, 0, ${armed}, ${fired}) === ${armed}) process.kill(pid, 'SIGINT')
    Atomics.wait(flag, 0, ${armed}, everyMs)
  }
}`

/** Interrupts this process's main thread when its memory grows too fast while it is watched. */
export class Watchdog {
  readonly #flag = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  #worker: Worker | null = null
  /** An interrupt is on its way that is not meant for the service. */
  isExpectingInterrupt = false

  /** @param bytes by which the process may grow while it is armed */
  async start(bytes: number): Promise<void> {
    if (this.#worker) return
    const workerData = { state: this.#flag.buffer, pid: process.pid, bytes, everyMs: 5 }
    // None of the program's options: what it loads before its main file must not be loaded here.
    this.#worker = new Worker(thread, { eval: true, workerData, env: {}, execArgv: [] })
    this.#worker.on('error', () => (this.#worker = null))
    this.#worker.unref()
    // Only once it runs does it see what the main thread does.
    await Promise.race([once(this.#worker, 'online'), delay(startMs)])
  }

  arm(): void {
    Atomics.store(this.#flag, 0, armed)
    Atomics.notify(this.#flag, 0)
  }

  /** @returns whether it has interrupted */
  disarm(): boolean {
    const hasFired = Atomics.exchange(this.#flag, 0, idle) === fired
    Atomics.notify(this.#flag, 0)
    return hasFired
  }
}
