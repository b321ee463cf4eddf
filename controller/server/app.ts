import cookie from '@fastify/cookie'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { parserOf, type TSchema } from '../../shared/schema.ts'
import { version } from '../../shared/version.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { guard } from './guard.ts'
import { Live } from './live.ts'
import { addMetrics } from './metrics.ts'
import type { Pages } from '../dashboard/bundle.ts'
import { addPages } from './pages.ts'
import { addAccess } from './routes-access.ts'
import { addFleet } from './routes-fleet.ts'
import { addHistory } from './routes-history.ts'
import { addPublishing } from './routes-publish.ts'
import { addRollouts } from './routes-rollouts.ts'
import { addSchedules } from './routes-schedules.ts'

export type ServerOptions = {
  daemon: Daemon
  pages: Pages
  /** Names under which people reach it besides loopback. */
  hosts: readonly string[]
  /** It is asked from within its own process only, by whoever owns the database. */
  isOwn?: boolean
  /** Requests a minute from one address. */
  perMinute?: number
  /** How long a body may take that is no upload, in milliseconds. */
  bodyMs?: number
}

const bodyBytes = 64 * 1024
const uploadMs = 3_600_000
const headersMs = 10_000
const defaultBodyMs = 10_000
const defaultPerMinute = 600

/** The controller's HTTP interface: the API, what programs read of it, and the dashboard. */
export async function makeServer(options: ServerOptions): Promise<FastifyInstance> {
  const { daemon, pages, hosts, isOwn = false } = options
  const { perMinute = defaultPerMinute, bodyMs = defaultBodyMs } = options
  const app = fastify({
    bodyLimit: bodyBytes,
    requestTimeout: uploadMs,
    connectionTimeout: 0,
    keepAliveTimeout: 10_000,
    routerOptions: { maxParamLength: 128 },
    // A reverse proxy on the same machine tells who is behind it.
    trustProxy: 'loopback',
    forceCloseConnections: true,
  })
  app.server.headersTimeout = headersMs
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(({ schema, httpPart }) => validatorOf(schema as TSchema, httpPart ?? 'request'))
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  app.setErrorHandler((error, _request, reply) => {
    const failure = failureOf(error)
    if (failure.code === 'E_INTERNAL') daemon.site.say(`a request failed: ${failure.message}`)
    return reply.code(statusOf(failure)).send(failure.toJSON())
  })
  await app.register(cookie)
  await app.register(rateLimit, {
    max: perMinute,
    timeWindow: 60_000,
    errorResponseBuilder: (_request, { ttl }) =>
      new DeployError('E_TOO_MANY_REQUESTS', { seconds: Math.ceil(ttl / 1000) }),
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'deployctl controller', version },
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer' },
          session: { type: 'apiKey', in: 'cookie', name: 'deployctl_session' },
        },
      },
      security: [{ token: [] }, { session: [] }],
    },
  })
  guard(app, { access: daemon.site.history.access, hosts, isOwn, bodyMs })
  const live = new Live(daemon)
  app.addHook('onClose', async () => live.close())
  for (const add of [addFleet, addHistory, addSchedules, addAccess, addPublishing]) add(app, daemon)
  addRollouts(app, daemon, live)
  addMetrics(app, daemon, live)
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger())
  addPages(app, pages)
  await app.ready()
  return app
}

function validatorOf(schema: TSchema, part: string) {
  const parser = parserOf(schema)
  return (value: unknown) => {
    if (parser.check(value)) return { value }
    const [issue] = parser.issues(value)
    const why = `${issue?.path || 'it'} ${issue?.message ?? 'does not fit'}`
    return { error: new DeployError('E_DOCUMENT_INVALID', { what: part, why }) }
  }
}

/** fastify's own refusals as ours. */
function failureOf(error: unknown): DeployError {
  const { statusCode, message } = error as { statusCode?: number; message?: string }
  if (error instanceof DeployError || statusCode === undefined || statusCode >= 500)
    return asDeployError(error)
  return new DeployError('E_DOCUMENT_INVALID', { what: 'request', why: message ?? 'it is not understood' })
}

const statuses: Readonly<Record<string, number>> = {
  E_TOKEN: 401,
  E_FORBIDDEN: 403,
  E_REQUEST_ORIGIN: 403,
  E_TOO_MANY_REQUESTS: 429,
  E_ROLLOUT_UNKNOWN: 404,
  E_SCHEDULE_UNKNOWN: 404,
  E_SERVICE_UNKNOWN: 404,
  E_ENVIRONMENT_UNKNOWN: 404,
  E_NOT_PUBLISHED: 404,
  E_SCHEDULE_EXISTS: 409,
  E_ROLLOUT_STATE: 409,
  E_ROLLOUT_TAKEN: 409,
  E_INTERNAL: 500,
}

const statusOf = ({ code }: DeployError): number => statuses[code] ?? 400
