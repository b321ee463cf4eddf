import { createServer, type RequestListener } from 'node:http'
import { Server } from 'node:net'
import type { DrainHandler } from './lifecycle.ts'
import { own } from './process.ts'
import { controlName } from './sockets.ts'

export type { HotContext } from './boundary.ts'
export { createHot, type Handle, type Hot, type HotOptions } from './hot.ts'
export type { DrainHandler, Draining } from './lifecycle.ts'

export type ListenOptions = {
  /** Which socket of deploy.yaml's run.sockets; the first when left out. */
  socket?: string
  /** Where nobody passes sockets, as on a laptop: a port; the variable PORT, then 3000, when left out. */
  port?: number
  host?: string
}

const defaultPort = 3000

/**
 * Listens on the socket that the host passed to this process; without a host, on a port. Takes traffic as
 * soon as it may, and ends in good order on SIGTERM: requests are answered, then the process exits.
 * @param target a server of node:http, node:https or node:net, or what `createServer` takes, as an Express app
 */
export function listen<T extends Server>(target: T, options?: ListenOptions): T
export function listen(target: RequestListener, options?: ListenOptions): Server
export function listen(target: Server | RequestListener, options: ListenOptions = {}): Server {
  const server = target instanceof Server ? target : createServer(target)
  const { sockets, lifecycle } = own()
  const names = [...sockets.keys()].filter((name) => name !== controlName)
  const name = options.socket ?? names[0] ?? 'http'
  const fd = sockets.get(name)
  if (fd === undefined && names.length > 0)
    throw new Error(`deployctl: no socket "${name}" was passed; there are ${names.join(', ')}`)
  const port = options.port ?? Number(process.env['PORT'] ?? defaultPort)
  lifecycle.add(name, server, fd === undefined ? { port, host: options.host } : { fd })
  return server
}

/**
 * Called when this instance is to end, before anything is cut: stop taking jobs, tell clients to reconnect.
 * The process exits after the handlers have returned and the connections have ended, or at the deadline.
 */
export function onDrain(handler: DrainHandler): void {
  own().lifecycle.onDrain(handler)
}
