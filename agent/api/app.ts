import { Readable } from 'node:stream'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { catalogue } from '../../shared/error-catalogue.ts'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { Digest, Name, OpId } from '../../shared/formats/names.ts'
import { Strict, Type, parserOf, type TSchema } from '../../shared/schema.ts'
import { FreezeRequest, OrderRequest, RootsAnswer, eventsType, packType } from '../../shared/wire/api.ts'
import type { Caller, Operations } from './operations.ts'

const inService = Strict({ service: Name })
const inRelease = Strict({ service: Name, release: Digest })
const inDeployment = Strict({ opId: OpId })
/** Query values are text; nothing is coerced, so they are digits by pattern. */
const digits = (length: number) =>
  Type.Optional(Type.String({ pattern: '^\\d+$', minLength: 1, maxLength: length }))

/**
 * The agent's HTTP interface. Only the routes below exist; every input is checked by its schema,
 * unknown keys are refused, and a body's size is bounded before it is read.
 * `callerOf` tells who is at the other end of the request's connection.
 */
export function makeApp(
  operations: Operations,
  callerOf: (request: FastifyRequest) => Caller,
): FastifyInstance {
  const app = fastify({ bodyLimit: 2 * 1024 * 1024, requestTimeout: 0, keepAliveTimeout: 0 })
  app.setValidatorCompiler(({ schema, httpPart }) => validatorOf(schema as TSchema, httpPart ?? 'request'))
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  app.addContentTypeParser(packType, (_request, payload, done) => done(null, payload))
  app.setErrorHandler((error, _request, reply) => {
    const failure = error instanceof DeployError ? error : asRequestError(error)
    return reply.code(statusOf(failure)).send(failure.toJSON())
  })
  app.setNotFoundHandler(() => {
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'request', why: 'there is no such route' })
  })
  app.addHook('onRequest', async (request) => operations.admit(callerOf(request)))
  addReads(app, operations)
  addWrites(app, operations, callerOf)
  return app
}

function addReads(app: FastifyInstance, operations: Operations) {
  type Service = { Params: { service: string } }
  app.get('/v1/hello', () => operations.hello())
  app.get<{ Querystring: { after?: string } }>(
    '/v1/roots',
    { schema: { querystring: Strict({ after: digits(7) }) } },
    ({ query }) => operations.roots(Number(query.after ?? 0)),
  )
  app.get<{ Querystring: { after?: string } }>(
    '/v1/receipts',
    { schema: { querystring: Strict({ after: digits(15) }) } },
    ({ query }) => operations.receipts(Number(query.after ?? 0)),
  )
  app.get('/v1/facts', () => operations.facts())
  app.get<Service>('/v1/services/:service/sample', { schema: { params: inService } }, ({ params }) =>
    operations.sample(params.service),
  )
  app.get('/v1/checkup', () => operations.checkUp())
  app.get('/v1/services', async () => ({ services: await operations.services() }))
  app.get<Service>('/v1/services/:service', { schema: { params: inService } }, (request) =>
    operations.service(request.params.service),
  )
  app.get<{ Params: { release: string } }>(
    '/v1/releases/:release',
    { schema: { params: Strict({ release: Digest }) } },
    (request) => operations.manifest(request.params.release),
  )
  app.get<Service>('/v1/services/:service/code', { schema: { params: inService } }, ({ params }) =>
    operations.code(params.service),
  )
  app.get<Service & { Querystring: { before?: string; limit?: string } }>(
    '/v1/services/:service/history',
    { schema: { params: inService, querystring: Strict({ before: digits(15), limit: digits(3) }) } },
    ({ params, query }) => ({
      deployments: operations.history(
        params.service,
        Number(query.before ?? Number.MAX_SAFE_INTEGER),
        Number(query.limit ?? 20),
      ),
    }),
  )
  app.get<{ Params: { opId: string }; Querystring: { after?: string } }>(
    '/v1/deployments/:opId/events',
    { schema: { params: inDeployment, querystring: Strict({ after: digits(9) }) } },
    ({ params, query, raw }, reply) =>
      reply
        .type(eventsType)
        .send(lines(operations.events(params.opId, Number(query.after ?? 0), endOf(raw)))),
  )
  app.get<Service & { Querystring: { lines?: string; follow?: string } }>(
    '/v1/services/:service/logs',
    { schema: { params: inService, querystring: Strict({ lines: digits(5), follow: digits(1) }) } },
    ({ params, query, raw }, reply) => {
      const wanted = Number(query.lines ?? 100)
      const follow = query.follow === '1'
      return reply.type(eventsType).send(lines(operations.logs(params.service, wanted, follow, endOf(raw))))
    },
  )
}

function addWrites(
  app: FastifyInstance,
  operations: Operations,
  callerOf: (request: FastifyRequest) => Caller,
) {
  // A pack is bounded by what its signed manifest promises, not by a number here.
  app.post<{ Params: { service: string } }>(
    '/v1/services/:service/releases',
    { schema: { params: inService }, bodyLimit: Number.MAX_SAFE_INTEGER },
    (request) => operations.offer(request.params.service, packOf(request)),
  )
  app.post<{ Params: { service: string; release: string } }>(
    '/v1/services/:service/releases/:release/blobs',
    { schema: { params: inRelease }, bodyLimit: Number.MAX_SAFE_INTEGER },
    (request) => operations.upload(request.params.service, request.params.release, packOf(request)),
  )
  app.post<{ Body: RootsAnswer }>('/v1/roots', { schema: { body: RootsAnswer } }, ({ body }) =>
    operations.follow(body),
  )
  app.post<{ Body: FreezeRequest }>('/v1/freezes', { schema: { body: FreezeRequest } }, ({ body }) =>
    operations.freeze(body),
  )
  app.post<{ Body: OrderRequest }>('/v1/orders', { schema: { body: OrderRequest } }, (request, reply) => {
    const opId = operations.order(request.body, callerOf(request))
    return reply.type(eventsType).send(lines(operations.events(opId, 0, endOf(request.raw))))
  })
  app.post<{ Params: { opId: string } }>(
    '/v1/deployments/:opId/confirm',
    { schema: { params: inDeployment } },
    (request) => {
      operations.confirm(request.params.opId, callerOf(request))
      return { confirmed: true }
    },
  )
}

function packOf(request: FastifyRequest): Readable {
  if (request.body instanceof Readable) return request.body
  throw new DeployError('E_PACK_FORMAT', { why: `the content type must be ${packType}` })
}

function validatorOf(schema: TSchema, part: string) {
  const parser = parserOf(schema)
  return (value: unknown) => {
    if (parser.check(value)) return { value }
    const [issue] = parser.issues(value)
    const why = issue ? `${part}${issue.path} ${issue.message}` : `${part} has the wrong shape`
    return { error: new DeployError('E_DOCUMENT_INVALID', { what: 'request', why }) }
  }
}

/** fastify's own refusals (body too large, malformed JSON, unknown content type) in our words. */
function asRequestError(error: unknown): DeployError {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status >= 500 || !(error instanceof Error)) return asDeployError(error)
  return new DeployError('E_DOCUMENT_INVALID', { what: 'request', why: error.message }, { cause: error })
}

const statusOf = (error: DeployError) =>
  error.code === 'E_INTERNAL' || catalogue[error.code].exit === 1 ? 500 : 409

/** Newline JSON; what goes wrong after the first byte travels in-band as a last line. */
function lines(source: AsyncIterable<unknown>): Readable {
  return Readable.from(encoded(source))
}

async function* encoded(source: AsyncIterable<unknown>) {
  try {
    for await (const value of source) yield `${JSON.stringify(value)}\n`
  } catch (error) {
    yield `${JSON.stringify({ error: asDeployError(error).toJSON() })}\n`
  }
}

/** Aborts when the client goes away, so that nobody follows a log for nobody. */
function endOf(raw: FastifyRequest['raw']): AbortSignal {
  const controller = new AbortController()
  raw.socket.once('close', () => controller.abort())
  return controller.signal
}
