import { connect, type Socket } from 'node:net'
import { DeployError } from '../../shared/errors.ts'
import type { Parser } from '../../shared/schema.ts'
import {
  controlLine,
  controlStatusParser,
  swapAnswerParser,
  type ControlRequest,
  type ControlStatus,
  type SwapAnswer,
  type SwapRequest,
} from '../../shared/wire/control.ts'

/** A line longer than this is none of the library's. */
const maxLineChars = 256 * 1024
/** It may name every module of a large program. */
const maxAnswerChars = 16 * 1024 * 1024

/** Opens a connection to an instance that goes on as one to the server of that socket. */
export function connectThrough(path: string, socket: string): Socket {
  const connection = connect(path)
  connection.write(controlLine({ do: 'connect', socket }))
  return connection
}

/** Asks once. @throws DeployError E_SERVICE_CONTROL */
export async function askInstance(
  path: string,
  request: ControlRequest,
  timeoutMs: number,
): Promise<ControlStatus> {
  const signal = AbortSignal.timeout(timeoutMs)
  for await (const status of talk(path, request, signal)) return status
  throw failure(signal.aborted ? `no answer within ${timeoutMs / 1000} s` : 'it closed the connection')
}

/** How it drains, until it ends. An instance that is gone already has nothing to say. */
export async function* watchInstance(path: string, signal: AbortSignal): AsyncIterable<ControlStatus> {
  try {
    yield* talk(path, { do: 'watch' }, signal)
  } catch {
    // Whoever stops it sees how it ends.
  }
}

/** Asks a program to exchange its code, or about it. @throws DeployError E_SERVICE_CONTROL */
export async function askSwap(path: string, request: SwapRequest, timeoutMs: number): Promise<SwapAnswer> {
  const signal = AbortSignal.timeout(timeoutMs)
  for await (const line of lines(path, request, signal, maxAnswerChars)) return parseSwapAnswer(line)
  throw failure(signal.aborted ? `no answer within ${timeoutMs / 1000} s` : 'it closed the connection')
}

async function* talk(
  path: string,
  request: ControlRequest,
  signal: AbortSignal,
): AsyncIterable<ControlStatus> {
  for await (const line of lines(path, request, signal, maxLineChars)) yield parseStatus(line)
}

async function* lines(
  path: string,
  request: ControlRequest | SwapRequest,
  signal: AbortSignal,
  maxChars: number,
): AsyncIterable<string> {
  const connection = connect(path)
  const abort = () => connection.destroy()
  signal.addEventListener('abort', abort)
  connection.setEncoding('utf8').write(controlLine(request))
  let rest = ''
  try {
    for await (const chunk of connection as AsyncIterable<string>) {
      const whole = (rest + chunk).split('\n')
      rest = whole.pop() ?? ''
      yield* whole
      if (rest.length > maxChars) return
    }
  } catch (error) {
    // Whoever ended it knows why.
    if (signal.aborted) return
    if (error instanceof DeployError) throw error
    throw failure(error instanceof Error ? error.message : String(error), error)
  } finally {
    signal.removeEventListener('abort', abort)
    connection.destroy()
  }
}

/** @throws DeployError E_SERVICE_CONTROL */
export const parseStatus = (line: string): ControlStatus => parse(line, controlStatusParser)

/** @throws DeployError E_SERVICE_CONTROL */
export const parseSwapAnswer = (line: string): SwapAnswer => parse(line, swapAnswerParser)

function parse<T>(line: string, parser: Parser<T>): T {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw failure('it answers something else: is its socket "deployctl" served by the library?', cause)
  }
  if (parser.check(value)) return value
  throw failure(parser.issues(value)[0]?.message ?? 'its answer has the wrong shape')
}

const failure = (why: string, cause?: unknown) => new DeployError('E_SERVICE_CONTROL', { why }, { cause })
