import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** How long a connection without a request is left open while draining: the next may be on its way. */
const idleGraceMs = 1_000
/** How long a client has to close after it was told that we do. */
const closeGraceMs = 1_000
/** An unmasked close frame with the status 1012, "service restart": RFC 6455 5.5.1, IANA's registry. */
const webSocketRestart = Buffer.from([0x88, 0x02, 0x03, 0xf4])

type Exchange = { response: ServerResponse; socket: Socket }

/** What goes on at one server: requests, idle connections, WebSockets, event streams. */
export class Connections {
  readonly server: Server
  readonly #onChange: () => void
  readonly #idle = new Map<Socket, NodeJS.Timeout | null>()
  /** Connections that are being secured, by the other side's address; what TLS makes of them has the same. */
  readonly #handshakes = new Map<string, Socket>()
  readonly #exchanges = new Set<Exchange>()
  /** WebSockets and the like; for a server that is not HTTP, all its connections. */
  readonly #streams = new Map<Duplex, { isWebSocket: boolean }>()
  #isDraining = false

  constructor(server: Server, onChange: () => void) {
    this.server = server
    this.#onChange = onChange
    this.#observe()
  }

  /** By its events rather than by listeners: one for `upgrade` would change what the server does. */
  #observe() {
    const { server } = this
    const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean
    const isHttps = server instanceof HttpsServer
    const isHttp = server instanceof HttpServer || isHttps
    server.emit = ((event: string | symbol, ...args: unknown[]) => {
      if (event === 'connection') {
        if (isHttp) this.#onConnection(args[0] as Socket)
        else this.#onStream(args[0] as Duplex, false)
        if (isHttps) this.#onHandshake(args[0] as Socket)
      }
      if (event === 'secureConnection' && isHttp) this.#onSecured(args[0] as Socket)
      if (event === 'request') this.#onRequest(args[0] as IncomingMessage, args[1] as ServerResponse)
      if (event === 'upgrade' || event === 'connect') {
        const { headers } = args[0] as IncomingMessage
        this.#onStream(args[1] as Duplex, headers.upgrade?.toLowerCase() === 'websocket')
      }
      return emit(event, ...args)
    }) as typeof server.emit
  }

  #onConnection(socket: Socket) {
    this.#idle.set(socket, null)
    if (this.#isDraining) this.#closeWhenIdle(socket)
    socket.once('close', () => {
      this.#forget(socket)
      this.#onChange()
    })
  }

  #onHandshake(socket: Socket) {
    // A closed socket no longer knows whose it was.
    const peer = peerOf(socket)
    this.#handshakes.set(peer, socket)
    socket.once('close', () => this.#handshakes.get(peer) === socket && this.#handshakes.delete(peer))
  }

  #forget(socket: Socket) {
    clearTimeout(this.#idle.get(socket) ?? undefined)
    this.#idle.delete(socket)
  }

  /** From now on it is this one that counts, not the bare connection under it. */
  #onSecured(socket: Socket) {
    const bare = this.#handshakes.get(peerOf(socket))
    if (bare) this.#forget(bare)
    this.#handshakes.delete(peerOf(socket))
    this.#onConnection(socket)
  }

  #onRequest({ socket }: IncomingMessage, response: ServerResponse) {
    const exchange = { response, socket }
    this.#exchanges.add(exchange)
    clearTimeout(this.#idle.get(socket) ?? undefined)
    if (this.#isDraining) response.shouldKeepAlive = false
    response.once('close', () => {
      this.#exchanges.delete(exchange)
      if (this.#isDraining) this.#closeWhenIdle(socket)
      this.#onChange()
    })
  }

  #onStream(stream: Duplex, isWebSocket: boolean) {
    this.#forget(stream as Socket)
    this.#streams.set(stream, { isWebSocket })
    stream.once('close', () => {
      this.#streams.delete(stream)
      this.#onChange()
    })
    if (this.#isDraining) this.#onChange()
  }

  #closeWhenIdle(socket: Socket) {
    if (!this.#idle.has(socket)) return
    clearTimeout(this.#idle.get(socket) ?? undefined)
    const timer = setTimeout(() => {
      if (![...this.#exchanges].some((exchange) => exchange.socket === socket)) endOf(socket)
    }, idleGraceMs)
    this.#idle.set(socket, timer)
  }

  get requests(): number {
    return [...this.#exchanges].filter(({ response }) => !isEventStream(response)).length
  }

  get streams(): number {
    return this.#streams.size + this.#exchanges.size - this.requests
  }

  /** Whether nothing is left, idle connections included. */
  get isEmpty(): boolean {
    return this.#exchanges.size + this.#streams.size + this.#idle.size === 0
  }

  /** Takes no further connections; those that are there get an answer to what they ask, and are closed then. */
  drain(): void {
    this.#isDraining = true
    // Not HttpServer's own close, which cuts idle connections at once, a request on its way or not.
    if (this.server.listening) Server.prototype.close.call(this.server)
    for (const { response } of this.#exchanges) if (!response.headersSent) response.shouldKeepAlive = false
    const busy = new Set([...this.#exchanges].map(({ socket }) => socket))
    for (const socket of this.#idle.keys()) if (!busy.has(socket)) this.#closeWhenIdle(socket)
  }

  /** Tells WebSockets and event streams to come back, which they do to the new instance. */
  endStreams(): void {
    for (const [stream, { isWebSocket }] of this.#streams) {
      if (isWebSocket && stream.writable) stream.write(webSocketRestart)
      endOf(stream)
    }
    for (const { response } of this.#exchanges) if (isEventStream(response)) response.end()
  }

  destroy(): void {
    for (const { socket } of this.#exchanges) socket.destroy()
    for (const stream of this.#streams.keys()) stream.destroy()
    for (const socket of this.#idle.keys()) socket.destroy()
  }
}

const peerOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`

/** What was written is sent; a client that does not close in turn is not waited for. */
function endOf(stream: Duplex) {
  stream.end()
  setTimeout(() => stream.destroy(), closeGraceMs).unref()
}

/** Headers given to writeHead are found in what was sent only. */
function isEventStream(response: ServerResponse): boolean {
  const { _header: sent } = response as ServerResponse & { _header?: string | null }
  const type = response.getHeader('content-type') ?? sent ?? ''
  return response.headersSent && /(?:^|content-type: *)text\/event-stream/i.test(String(type))
}
