import { createServer, type Server, type Socket } from 'node:net'
import type { Lifecycle } from './lifecycle.ts'

const preamble = 'DEPLOYCTL/1 '
const maxLineBytes = 4096
const lineTimeoutMs = 5_000
const watchIntervalMs = 100

/** Answers the agent on the private socket: what it may ask stands in deployctl's shared/wire/control.ts. */
export function serveControl(fd: number, lifecycle: Lifecycle): Server {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    readLine(socket, (line) => answer(line, socket, lifecycle))
  })
  server.listen({ fd })
  return server
}

/** The first line of a connection; what comes after it is left unread. */
function readLine(socket: Socket, onLine: (line: string) => void) {
  let received = Buffer.alloc(0)
  socket.setTimeout(lineTimeoutMs, () => socket.destroy())
  const onData = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    const end = received.indexOf(0x0a)
    if (end < 0 && received.length <= maxLineBytes) return
    socket.off('data', onData)
    socket.pause()
    socket.setTimeout(0)
    if (end < 0) return socket.destroy()
    const rest = received.subarray(end + 1)
    if (rest.length > 0) socket.unshift(rest)
    return onLine(received.subarray(0, end).toString())
  }
  socket.on('data', onData)
}

function answer(line: string, socket: Socket, lifecycle: Lifecycle): void {
  const request = parse(line)
  const say = () => `${JSON.stringify(lifecycle.status())}\n`
  switch (request.do) {
    case 'status':
      return void socket.end(say())
    case 'accept':
      return void lifecycle.accept().then(() => socket.end(say()))
    case 'watch':
      return watch(socket, lifecycle, say)
    case 'connect':
      return connect(socket, lifecycle, request.socket)
    default:
      return void socket.destroy()
  }
}

function parse(line: string): { do?: unknown; socket?: unknown } {
  if (!line.startsWith(preamble)) return {}
  try {
    const value: unknown = JSON.parse(line.slice(preamble.length))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** Goes on as a connection of a client. */
function connect(socket: Socket, lifecycle: Lifecycle, name: unknown) {
  const server = typeof name === 'string' ? lifecycle.server(name) : null
  if (!server) return void socket.destroy()
  server.emit('connection', socket)
  socket.resume()
}

/** The status now and on every change, at most ten times a second; the last one always. */
function watch(socket: Socket, lifecycle: Lifecycle, say: () => string) {
  let timer: NodeJS.Timeout | null = null
  let last = ''
  const write = () => {
    timer = null
    const now = say()
    if (now !== last) socket.write((last = now))
  }
  const stop = lifecycle.watch(() => {
    if (lifecycle.status().state === 'drained') write()
    else timer ??= setTimeout(write, watchIntervalMs)
  })
  socket.once('close', () => {
    stop()
    clearTimeout(timer ?? undefined)
  })
  socket.resume()
  write()
}
