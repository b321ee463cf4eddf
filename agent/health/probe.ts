import { request, type ClientRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { serviceDefaults, type ProbeSpec } from '../../shared/formats/service-spec.ts'
import type { Address, CommandResult } from '../manager/manager.ts'

export type ProbeContext = {
  /** By the socket's name in run.sockets. */
  addresses: Readonly<Record<string, Address>>
  /** A connection to this one instance, while others answer at the same addresses. */
  connect?: (socket: string | undefined) => Socket
  /** By its own word. */
  readiness?: () => Promise<ProbeAnswer>
  /** Runs a program as the service would be run. */
  runCommand(argv: readonly string[], signal: AbortSignal): Promise<CommandResult>
}

/** `detail` is one sentence for people; `body` is the start of the answer, for a failed probe's report. */
export type ProbeAnswer = { ok: boolean; detail: string; ms: number; body: string }

type Verdict = Omit<ProbeAnswer, 'ms'>
type Of<T extends ProbeSpec['type']> = Extract<ProbeSpec, { type: T }>

const maxBodyBytes = 64 * 1024
/** Metrics of a large program. */
const maxTextBytes = 4 * 1024 * 1024
const shownBodyChars = 512

/** Asks once. Never throws: whatever goes wrong is an answer. */
export async function probeOnce(probe: ProbeSpec, context: ProbeContext): Promise<ProbeAnswer> {
  const began = performance.now()
  const seconds = probe.timeoutSeconds ?? serviceDefaults.probeTimeoutSeconds
  const signal = AbortSignal.timeout(seconds * 1000)
  const verdict = await ask(probe, context, signal).catch((error: unknown): Verdict => {
    const why = error instanceof Error ? error.message : String(error)
    const detail = signal.aborted ? `no answer within ${seconds} s` : why
    return { ok: false, detail: `${nameOf(probe)}: ${detail}`, body: '' }
  })
  return { ...verdict, ms: performance.now() - began }
}

function ask(probe: ProbeSpec, context: ProbeContext, signal: AbortSignal): Promise<Verdict> {
  if (probe.type === 'http') return askHttp(probe, context, signal)
  if (probe.type === 'tcp') return askTcp(probe, context, signal)
  return askCommand(probe, context, signal)
}

const nameOf = (probe: ProbeSpec) =>
  probe.type === 'command'
    ? probe.argv.join(' ')
    : `${probe.type} ${'path' in probe ? (probe.path ?? '') : ''}`.trim()

function addressOf(context: ProbeContext, socket: string | undefined): Address {
  const address = socket === undefined ? Object.values(context.addresses)[0] : context.addresses[socket]
  if (!address) throw new Error(`there is no socket ${socket ?? 'at all'}`)
  return address
}

/** A service listening on every address is asked on loopback. */
function target(address: Address) {
  if ('path' in address) return { socketPath: address.path }
  const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host
  return { host, port: address.port }
}

function route(socket: string | undefined, context: ProbeContext) {
  const { connect: open } = context
  // Node asks createConnection only where there is no agent at all.
  if (open) return { agent: undefined, host: 'localhost', createConnection: () => open(socket) }
  return { agent: false as const, ...target(addressOf(context, socket)) }
}

type Text = { status: number; body: string }

/** A GET to the service, with the beginning of its answer. @param socket the first one when undefined */
export function fetchText(
  path: string,
  socket: string | undefined,
  context: ProbeContext,
  signal: AbortSignal,
): Promise<Text> {
  return answerTo(request({ signal, ...route(socket, context), path }), maxTextBytes)
}

function answerTo(outgoing: ClientRequest, maxChars: number): Promise<Text> {
  return new Promise((resolve, reject) => {
    outgoing.once('error', reject)
    outgoing.once('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('error', reject)
      response.on('data', (chunk: string) => (body.length < maxChars ? (body += chunk) : outgoing.destroy()))
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    outgoing.end()
  })
}

async function askHttp(probe: Of<'http'>, context: ProbeContext, signal: AbortSignal): Promise<Verdict> {
  const path = probe.path ?? '/'
  const options = { headers: probe.headers, signal }
  const outgoing =
    probe.url === undefined
      ? request({ ...options, ...route(probe.socket, context), path })
      : request(new URL(path, probe.url), { agent: false, ...options })
  const { status, body } = await answerTo(outgoing, maxBodyBytes)
  signal.throwIfAborted()
  const goodStatus = probe.status === undefined ? status >= 200 && status < 400 : status === probe.status
  const goodBody = probe.body === undefined || body.includes(probe.body)
  const missing = goodBody ? '' : `, without ${JSON.stringify(probe.body)} in its body`
  return {
    ok: goodStatus && goodBody,
    detail: `http ${path}: ${status}${missing}`,
    body: body.slice(0, shownBodyChars),
  }
}

function openTcp(probe: Of<'tcp'>, context: ProbeContext): Socket {
  if (probe.port === undefined && context.connect) return context.connect(probe.socket)
  const address =
    probe.port === undefined
      ? addressOf(context, probe.socket)
      : { host: probe.host ?? '127.0.0.1', port: probe.port }
  const { socketPath: path, ...tcp } = { socketPath: undefined, ...target(address) }
  return path === undefined ? connect(tcp as { host: string; port: number }) : connect({ path })
}

async function askTcp(probe: Of<'tcp'>, context: ProbeContext, signal: AbortSignal): Promise<Verdict> {
  const socket = openTcp(probe, context)
  const abort = () => socket.destroy(new Error('too late'))
  signal.addEventListener('abort', abort)
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return { ok: true, detail: 'tcp: it accepts connections', body: '' }
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

async function askCommand(
  probe: Of<'command'>,
  context: ProbeContext,
  signal: AbortSignal,
): Promise<Verdict> {
  const { status, output } = await context.runCommand(probe.argv, signal)
  signal.throwIfAborted()
  return { ok: status === '0', detail: `${probe.argv.join(' ')}: ended with ${status}`, body: output }
}
