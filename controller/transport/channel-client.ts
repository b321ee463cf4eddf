import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DeployError, isErrorCode, type ErrorFacts } from '../../shared/errors.ts'
import { Strict, Type, parserOf, type Parser } from '../../shared/schema.ts'
import type { Connection } from './transport.ts'

const Fact = Type.Union([Type.String({ maxLength: 8192 }), Type.Number(), Type.Boolean(), Type.Null()])
const errorParser = parserOf(
  Strict({
    code: Type.String({ maxLength: 64 }),
    message: Type.String({ maxLength: 16_384 }),
    next: Type.String({ maxLength: 16_384 }),
    production: Type.String({ maxLength: 32 }),
    facts: Type.Record(Type.String({ maxLength: 64 }), Fact, { maxProperties: 32 }),
  }),
)
const lastLineParser = parserOf(Type.Object({ error: Type.Unknown() }))
const maxBodyBytes = 96 * 1024 * 1024
const maxLineBytes = 4 * 1024 * 1024
/** Between two bytes of an answer, except where a stream may be quiet for as long as it likes. */
const answerTimeoutMs = 120_000

/** HTTP over the channels of one SSH connection; every answer is checked before it is believed. */
export class ChannelClient {
  readonly #connection: Connection
  readonly #host: string
  readonly #agent: Agent

  /** @param host the name for messages */
  constructor(connection: Connection, host: string) {
    this.#connection = connection
    this.#host = host
    this.#agent = new Agent({ keepAlive: true, maxSockets: 4 })
    // A channel of a connection that is gone may never say so itself.
    connection.closed.addEventListener('abort', () => this.#agent.destroy())
    // The agent asks for a socket and gets a channel; what a channel has no use for is left out.
    Object.assign(this.#agent, {
      createConnection: (_: unknown, done: (error: unknown, stream?: Duplex) => void) =>
        void connection.openChannel().then((channel) => done(null, asSocket(channel)), done),
    })
  }

  /** @throws DeployError the host's own error, E_HOST_ANSWER, E_CONNECTION_LOST */
  async get<T>(path: string, parser: Parser<T>): Promise<T> {
    return this.#parse(await this.#send({ method: 'GET', path }, null), parser)
  }

  async post<T>(path: string, parser: Parser<T>, contentType: string, body: Readable | string): Promise<T> {
    const options = { method: 'POST', path, headers: { 'content-type': contentType } }
    return this.#parse(await this.#send(options, body), parser)
  }

  /** The lines of an answer as they come. */
  async *lines<T>(
    path: string,
    parser: Parser<T>,
    body: string | null = null,
    signal?: AbortSignal,
  ): AsyncIterable<T> {
    const headers = { 'content-type': 'application/json' }
    const options = body === null ? { method: 'GET', path } : { method: 'POST', path, headers }
    const response = await this.#send({ ...options, ...(signal && { signal }) }, body, true)
    if (response.statusCode !== 200) throw await this.#failure(response)
    for await (const line of this.#splitLines(response)) {
      if (parser.check(line)) yield line
      else if (lastLineParser.check(line)) throw this.#errorOf(line.error)
      else throw this.#odd('a line has the wrong shape')
    }
  }

  async #send(
    options: RequestOptions,
    body: Readable | string | null,
    isQuiet = false,
  ): Promise<IncomingMessage> {
    if (this.#connection.closed.aborted) throw this.#lost(new Error('the connection was closed'))
    const outgoing = request({ ...options, agent: this.#agent, host: 'agent' })
    if (!isQuiet) outgoing.setTimeout(answerTimeoutMs, () => outgoing.destroy(new Error('no answer')))
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject)
    })
    answered.catch(() => {})
    try {
      // A host that refuses early answers before all is sent: then the rest is not sent.
      if (body !== null && typeof body !== 'string') await Promise.race([pipeline(body, outgoing), answered])
      else outgoing.end(body ?? undefined)
      return await answered
    } catch (error) {
      const early = await Promise.race([answered.catch(() => null), Promise.resolve(null)])
      if (early) return early
      throw error instanceof DeployError ? error : this.#lost(error)
    }
  }

  async #parse<T>(response: IncomingMessage, parser: Parser<T>): Promise<T> {
    if (response.statusCode !== 200) throw await this.#failure(response)
    const value = await this.#json(response)
    if (parser.check(value)) return value
    const [issue] = parser.issues(value)
    throw this.#odd(issue ? `${issue.path || '/'} ${issue.message}` : 'it has the wrong shape')
  }

  async #json(response: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = []
    let size = 0
    try {
      for await (const chunk of response) {
        size += (chunk as Buffer).length
        if (size > maxBodyBytes) throw this.#odd('it is too long')
        chunks.push(chunk as Buffer)
      }
    } catch (error) {
      throw error instanceof DeployError ? error : this.#lost(error)
    }
    try {
      return JSON.parse(Buffer.concat(chunks).toString()) as unknown
    } catch (cause) {
      throw this.#odd('it is not JSON', cause)
    }
  }

  async *#splitLines(response: IncomingMessage): AsyncIterable<unknown> {
    let rest = ''
    response.setEncoding('utf8')
    try {
      for await (const chunk of response) {
        const lines = (rest + (chunk as string)).split('\n')
        rest = lines.pop() ?? ''
        if (rest.length > maxLineBytes) throw this.#odd('a line is too long')
        for (const line of lines) yield JSON.parse(line) as unknown
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw this.#odd('a line is not JSON', error)
      throw error instanceof DeployError ? error : this.#lost(error)
    }
    if (!response.complete) throw this.#lost(new Error('the answer was cut'))
  }

  async #failure(response: IncomingMessage): Promise<DeployError> {
    return this.#errorOf(await this.#json(response))
  }

  /** The host's error as ours, when it is one we know; the words come from our own catalogue. */
  #errorOf(value: unknown): DeployError {
    if (!errorParser.check(value)) return this.#odd('its error has the wrong shape')
    const facts: ErrorFacts = { host: this.#host, ...value.facts }
    if (isErrorCode(value.code)) return new DeployError(value.code, facts)
    return this.#odd(`${value.code} ${value.message}`)
  }

  #odd(why: string, cause?: unknown): DeployError {
    return new DeployError('E_HOST_ANSWER', { host: this.#host, why }, { cause })
  }

  /** A close before a whole answer means that nobody here knows what became of the request. */
  #lost(cause: unknown): DeployError {
    if (cause instanceof Error && cause.cause instanceof DeployError) return cause.cause
    return new DeployError(
      'E_CONNECTION_LOST',
      { host: this.#host, during: 'waiting for its answer' },
      { cause },
    )
  }

  get isClosed(): boolean {
    return this.#connection.closed.aborted
  }

  bytes(): { sent: number; received: number } {
    return this.#connection.bytes()
  }

  close(): void {
    this.#agent.destroy()
    this.#connection.close()
  }
}

/** The calls that node:http makes on a socket and that a channel has no use for. */
function asSocket(channel: Duplex): Duplex {
  const self = () => channel
  return Object.assign(channel, {
    setKeepAlive: self,
    setNoDelay: self,
    setTimeout: self,
    ref: self,
    unref: self,
    destroySoon: () => channel.end(),
  })
}
