import { Server } from 'node:net'
import { own } from './process.ts'
import { controlName, portOf } from './sockets.ts'

/**
 * Loaded before a program that knows nothing of us (`node --import …/adopt.js server.js`): a server that
 * asks for the port of a socket that was passed to this process gets that socket instead, and ends in good
 * order. The rest of what it does stays as it is.
 */
function adopt(): void {
  const { sockets, lifecycle } = own()
  const byPort = new Map<number, [name: string, fd: number]>()
  for (const [name, fd] of sockets) {
    const port = name === controlName ? null : portOf(fd)
    if (port !== null) byPort.set(port, [name, fd])
  }
  const [first] = byPort.keys()
  if (first !== undefined) process.env['PORT'] ??= String(first)

  const listen = Reflect.get(Server.prototype, 'listen') as (...args: unknown[]) => Server
  const adopting = function (this: Server, ...args: unknown[]): Server {
    const socket = byPort.get(portAskedFor(args[0]))
    if (!socket) return listen.apply(this, args)
    const [name, fd] = socket
    const callback = args.at(-1)
    if (typeof callback === 'function') this.once('listening', callback as () => void)
    // Some ask for 127.0.0.1 and then ::1 as well: the host's socket has all that there is to get.
    if (lifecycle.server(name)) setImmediate(() => this.emit('listening'))
    else lifecycle.add(name, this, { fd })
    return this
  }
  Reflect.set(Server.prototype, 'listen', adopting)
}

/** Of listen(port, …) and listen({ port, … }); NaN for another kind of address. */
function portAskedFor(where: unknown): number {
  if (typeof where === 'number' || typeof where === 'string') return Number(where)
  if (typeof where === 'object' && where !== null && 'port' in where) return Number(where.port)
  return Number.NaN
}

// A child of the service inherits NODE_OPTIONS, but none of the sockets.
if (process.env['LISTEN_PID'] === String(process.pid)) adopt()
