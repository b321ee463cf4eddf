import type { Readable } from 'node:stream'
import { DeployError, isErrorCode, type ErrorBody } from '../../shared/errors.ts'

export type Call = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  /** JSON, or a stream of `type`. */
  body?: unknown
  stream?: { type: string; content: Readable }
}

/** The controller's API: over HTTP, or the one of this machine without any. */
export type ControllerClient = AsyncDisposable & {
  /** @throws DeployError E_CONTROLLER, and what the controller says */
  call<T>(call: Call): Promise<T>
}

const timeoutMs = 60_000

/** @param token who one is there */
export function overHttp(url: string, token: string): ControllerClient {
  const base = new URL(url)
  return {
    async call({ method, path, body, stream }) {
      const type = stream?.type ?? (body === undefined ? undefined : 'application/json')
      const response = await fetch(new URL(`/api/v1${path}`, base), {
        method,
        headers: { authorization: `Bearer ${token}`, ...(type !== undefined && { 'content-type': type }) },
        ...(stream
          ? { body: stream.content, duplex: 'half' }
          : { body: body === undefined ? null : JSON.stringify(body) }),
        redirect: 'error',
        ...(stream ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
      }).catch((cause: unknown): never => {
        const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
        const why = inner instanceof Error ? inner.message : String(inner)
        throw new DeployError('E_CONTROLLER', { url, why }, { cause })
      })
      return answerOf(response.status, await response.text(), url) as never
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** @throws DeployError what the controller says, or E_CONTROLLER */
export function answerOf(status: number, text: string, url: string): unknown {
  const value = parse(text)
  if (status < 300 && value !== undefined) return value
  const told = value as Partial<ErrorBody> | undefined
  if (told?.code === undefined || !isErrorCode(told.code))
    throw new DeployError('E_CONTROLLER', { url, why: `it answered ${status}` })
  const error = new DeployError(told.code, told.facts)
  error.message = told.message ?? error.message
  throw error
}

function parse(text: string): unknown {
  try {
    return text === '' ? {} : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}
