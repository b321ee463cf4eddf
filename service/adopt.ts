import { Server } from 'node:net'
import { own } from './process.ts'
import { controlName, portOf } from './sockets.ts'

/**
 * Loaded before a program that knows nothing of us (`node --import …/adopt.js server.js`): a server that
 * asks for the port or the descriptor of a socket that was passed to this process gets that socket when it
 * may take traffic, and ends in good order. The rest of what it does stays as it is.
 */
function adopt(): void {
  const { sockets, lifecycle } = own()
  const passed = [...sockets]
    .filter(([name]) => name !== controlName)
    .map(([name, fd]) => ({ name, fd, port: portOf(fd) }))
  const port = passed.find((one) => one.port !== null)?.port
  if (port !== undefined) process.env['PORT'] ??= String(port)

  const listen = Reflect.get(Server.prototype, 'listen') as (...args: unknown[]) => Server
  const adopting = function (this: Server, ...args: unknown[]): Server {
    const asked = askedFor(args[0])
    const socket = passed.find((one) => one.fd === asked.fd || (one.port !== null && one.port === asked.port))
    // The library itself opens it by its descriptor, when the time has come.
    if (!socket || lifecycle.server(socket.name) === this) return listen.apply(this, args)
    const { name, fd } = socket
    const callback = args.at(-1)
    if (typeof callback === 'function') this.once('listening', callback as () => void)
    // Some ask for 127.0.0.1 and then ::1 as well: the host's socket has all that there is to get.
    if (lifecycle.server(name)) setImmediate(() => this.emit('listening'))
    else lifecycle.add(name, this, { fd })
    return this
  }
  Reflect.set(Server.prototype, 'listen', adopting)
}

/** Of listen(port, …), listen({ port, … }) and listen({ fd }). */
function askedFor(where: unknown): { port?: number; fd?: number } {
  if (typeof where === 'number' || typeof where === 'string') return { port: Number(where) }
  if (typeof where !== 'object' || where === null) return {}
  if ('fd' in where) return { fd: Number(where.fd) }
  return 'port' in where ? { port: Number(where.port) } : {}
}

// A child of the service inherits NODE_OPTIONS, but none of the sockets.
if (process.env['LISTEN_PID'] === String(process.pid)) adopt()
