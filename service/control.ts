import { createServer, type Server, type Socket } from 'node:net'
import type { Lifecycle } from './lifecycle.ts'
import type { Swap, SwapRequest } from './swap.ts'

const preamble = 'DEPLOYCTL/1 '
/** A swap may name every module of a large program. */
const maxLineBytes = 8 * 1024 * 1024
const lineTimeoutMs = 5_000
const swapRequests = new Set(['prepare', 'commit', 'confirm', 'rollback', 'abort', 'modules', 'collect'])
const watchIntervalMs = 100

type Served = { lifecycle: Lifecycle; swap: Swap | null }

/** Answers the agent on the private socket: what it may ask stands in deployctl's shared/wire/control.ts. */
export function serveControl(fd: number, served: Served): Server {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    readLine(socket, (line) => answer(line, socket, served))
  })
  server.listen({ fd })
  return server
}

/** The first line of a connection; what comes after it is left unread. */
function readLine(socket: Socket, onLine: (line: string) => void) {
  const chunks: Buffer[] = []
  let size = 0
  socket.setTimeout(lineTimeoutMs, () => socket.destroy())
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (!chunk.includes(0x0a) && size <= maxLineBytes) return
    const received = Buffer.concat(chunks)
    const end = received.indexOf(0x0a)
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

function answer(line: string, socket: Socket, { lifecycle, swap }: Served): void {
  const request = parse(line)
  const say = () => `${JSON.stringify({ ...lifecycle.status(), hot: swap?.status() ?? null })}\n`
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
      if (swap && swapRequests.has(String(request.do)))
        // From the agent alone, which takes it from a signed release; nobody else can open this socket.
        return void swap
          .answer(request as SwapRequest)
          .then((answered) => socket.end(`${JSON.stringify(answered)}\n`))
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
