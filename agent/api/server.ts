import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { DeployError } from '../../shared/errors.ts'
import { Strict, Type, parserOf } from '../../shared/schema.ts'
import { makeApp } from './app.ts'
import type { Caller, Operations } from './operations.ts'

const preambleParser = parserOf(
  Strict({
    connection: Type.String({ maxLength: 256 }),
    user: Type.String({ maxLength: 128 }),
    auth: Type.Union([Type.String({ maxLength: 16_384 }), Type.Null()]),
  }),
)
/** The bridge's first line: who is at the other end. HTTP follows. */
export const preambleWord = 'DEPLOYCTL/1 '
const maxPreambleBytes = 32 * 1024
const preambleTimeoutMs = 5_000

/** Serves HTTP on any byte stream whose caller is known. */
export type Acceptor = (stream: Duplex, caller: Caller) => void

/** The routes, ready for connections from the bridge's socket or from the embedded SSH server. */
export async function makeAcceptor(operations: Operations): Promise<Acceptor> {
  const callers = new WeakMap<object, Caller>()
  const app = makeApp(operations, (request: FastifyRequest) => {
    const caller = callers.get(request.raw.socket)
    if (caller) return caller
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'connection', why: 'nobody said who it is' })
  })
  await app.ready()
  return (stream, caller) => {
    callers.set(stream, caller)
    app.server.emit('connection', stream)
  }
}

/** @throws when another agent answers there */
export async function listenForBridges(path: string, accept: Acceptor): Promise<Server> {
  if (await isAnswered(path)) throw new DeployError('E_AGENT_RUNS', { path })
  rmSync(path, { force: true })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    readPreamble(socket, (caller) => accept(socket, caller))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  // The group is the SSH user's: it may talk to the agent and nothing else.
  chmodSync(path, 0o660)
  return server
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function readPreamble(socket: Socket, onCaller: (caller: Caller) => void) {
  let received = Buffer.alloc(0)
  const late = setTimeout(() => socket.destroy(), preambleTimeoutMs)
  socket.once('close', () => clearTimeout(late))
  const onData = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    const end = received.indexOf('\n')
    if (end < 0 && received.length < maxPreambleBytes) return
    clearTimeout(late)
    socket.off('data', onData)
    socket.pause()
    const caller = parsePreamble(received.subarray(0, end < 0 ? 0 : end).toString())
    if (!caller) return void socket.destroy()
    socket.unshift(received.subarray(end + 1))
    onCaller(caller)
    // What came together with the first line waits in the stream until it flows again.
    socket.resume()
  }
  socket.on('data', onData)
}

function parsePreamble(line: string): Caller | null {
  if (!line.startsWith(preambleWord)) return null
  try {
    const value: unknown = JSON.parse(line.slice(preambleWord.length))
    return preambleParser.check(value) ? value : null
  } catch {
    return null
  }
}
