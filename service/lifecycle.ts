import type { Server } from 'node:net'
import { Connections } from './connections.ts'

/** What an application is told when its instance is to end. */
export type Draining = {
  /** When whatever is left is cut off. */
  deadline: Date
  /** Aborted then. */
  signal: AbortSignal
}
export type DrainHandler = (draining: Draining) => void | Promise<void>

export type Status = {
  ready: string[]
  state: 'held' | 'accepting' | 'draining' | 'drained'
  requests: number
  connections: number
  cut: { requests: number; connections: number }
}

type Address = { fd: number } | { port: number; host?: string | undefined }

/** As large as the kernel's own default: a smaller one would shrink that of the shared socket. */
const backlog = 4096
/** Left of the time to end what remains and to say so, before the kernel does. */
const lastWordMs = 500

/** The life of this process as a service: held → accepting → draining → drained. */
export class Lifecycle {
  readonly #seconds: number
  readonly #closesStreams: boolean
  readonly #servers = new Map<string, { connections: Connections; address: Address }>()
  readonly #handlers: DrainHandler[] = []
  readonly #watchers = new Set<() => void>()
  #state: Status['state']
  #cut = { requests: 0, connections: 0 }
  #draining: Promise<void> | null = null

  constructor(env: NodeJS.ProcessEnv, canBeHeld: boolean) {
    this.#seconds = Number(env['DEPLOYCTL_STOP_SECONDS'] ?? 10)
    this.#closesStreams = env['DEPLOYCTL_LONG_CONNECTIONS'] === 'close'
    this.#state = canBeHeld && env['DEPLOYCTL_HOLD'] === '1' ? 'held' : 'accepting'
  }

  add(name: string, server: Server, address: Address): void {
    const connections = new Connections(server, () => this.#changed())
    // Known before it is opened: whoever looks who asks must find it.
    this.#servers.set(name, { connections, address })
    if (this.#state === 'accepting') this.#open(server, address)
    this.#changed()
  }

  #open(server: Server, address: Address) {
    if (!server.listening) server.listen({ ...address, backlog })
  }

  server(name: string): Server | null {
    return this.#servers.get(name)?.connections.server ?? null
  }

  onDrain(handler: DrainHandler): void {
    this.#handlers.push(handler)
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange)
    return () => this.#watchers.delete(onChange)
  }

  #changed() {
    for (const onChange of this.#watchers) onChange()
  }

  status(): Status {
    const all = [...this.#servers.values()].map(({ connections }) => connections)
    return {
      ready: [...this.#servers.keys()],
      state: this.#state,
      requests: all.reduce((sum, one) => sum + one.requests, 0),
      connections: all.reduce((sum, one) => sum + one.streams, 0),
      cut: this.#cut,
    }
  }

  /** Takes traffic from now on; returns when every server listens. */
  async accept(): Promise<void> {
    if (this.#state === 'held') this.#state = 'accepting'
    if (this.#state !== 'accepting') return
    for (const { connections, address } of this.#servers.values()) {
      const { server } = connections
      if (server.listening) continue
      const listening = new Promise<void>((resolve) => server.once('listening', resolve))
      this.#open(server, address)
      await listening
    }
    this.#changed()
  }

  /** Lets what was begun come to its end; returns when all is done or the time is over. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  async #drain() {
    const all = [...this.#servers.values()].map(({ connections }) => connections)
    const timeMs = Math.max(0, this.#seconds * 1000 - lastWordMs)
    const over = new AbortController()
    this.#state = 'draining'
    for (const one of all) one.drain()
    const timer = setTimeout(() => over.abort(), timeMs)
    const late = new Promise<void>((resolve) => over.signal.addEventListener('abort', () => resolve()))
    const draining = { deadline: new Date(Date.now() + timeMs), signal: over.signal }
    const handled = Promise.all(this.#handlers.map((handler) => runHandler(handler, draining)))
    if (this.#closesStreams) for (const one of all) one.endStreams()
    this.#changed()
    await Promise.race([Promise.all([this.#empty(all), handled]), late])
    clearTimeout(timer)
    if (!over.signal.aborted) return this.#end()
    const { requests, connections } = this.status()
    this.#cut = { requests, connections }
    for (const one of all) one.endStreams()
    await new Promise((resolve) => setTimeout(resolve, lastWordMs / 5))
    for (const one of all) one.destroy()
    this.#end()
  }

  #end() {
    this.#state = 'drained'
    this.#changed()
  }

  async #empty(all: readonly Connections[]) {
    while (all.some(({ isEmpty }) => !isEmpty))
      await new Promise<void>((resolve) => {
        const stop = this.watch(() => {
          stop()
          resolve()
        })
      })
  }
}

/** One that fails must not keep the others from ending in good order. */
async function runHandler(handler: DrainHandler, draining: Draining) {
  try {
    await handler(draining)
  } catch (error) {
    console.error('deployctl: a handler of onDrain failed:', error)
  }
}
