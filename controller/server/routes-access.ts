import type { FastifyInstance } from 'fastify'
import { DeployError } from '../../shared/errors.ts'
import { Instant } from '../../shared/formats/names.ts'
import { Strict, Type } from '../../shared/schema.ts'
import type { Daemon } from '../daemon/daemon.ts'
import type { AccessRole } from '../history/access.ts'
import { sessionCookie } from './guard.ts'
import { Count, limitOf } from './schemas.ts'

const TokenName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}$', maxLength: 63 })
const Role = Type.Union([Type.Literal('viewer'), Type.Literal('operator'), Type.Literal('admin')])
const NewToken = Strict({ name: TokenName, role: Role, expires: Type.Optional(Instant) })

/** Guesses are hopeless; this is for the log's sake. */
const loginsPerMinute = 20

export function addAccess(app: FastifyInstance, daemon: Daemon): void {
  const { access } = daemon.site.history
  const config = { role: 'admin' } as const
  app.post<{ Body: { token: string } }>(
    '/api/v1/session',
    {
      config: { rateLimit: { max: loginsPerMinute, timeWindow: 60_000 } },
      schema: {
        summary: 'Begin a session of a browser with a token',
        body: Strict({ token: Type.String({ minLength: 8, maxLength: 128 }) }),
      },
    },
    ({ body, protocol }, reply) => {
      const identity = access.byToken(body.token)
      if (!identity) throw new DeployError('E_TOKEN', { why: 'the token is unknown or has run out' })
      reply.setCookie(sessionCookie, access.beginSession(identity.id), {
        path: '/',
        httpOnly: true,
        sameSite: 'strict',
        secure: protocol === 'https',
      })
      return { name: identity.name, role: identity.role }
    },
  )
  app.get(
    '/api/v1/session',
    { config: { role: 'viewer' }, schema: { summary: 'Who this is' } },
    ({ identity }) => ({
      name: identity?.name,
      role: identity?.role,
    }),
  )
  app.delete('/api/v1/session', { schema: { summary: 'End the session' } }, ({ cookies }, reply) => {
    const secret = cookies[sessionCookie]
    if (secret !== undefined) access.endSession(secret)
    return reply.clearCookie(sessionCookie, { path: '/' }).code(204).send()
  })
  app.get('/api/v1/tokens', { config, schema: { summary: 'Who has access; never their secrets' } }, () => ({
    tokens: access.tokens(),
  }))
  app.post<{ Body: { name: string; role: AccessRole; expires?: string } }>(
    '/api/v1/tokens',
    {
      config,
      schema: {
        summary: 'A new token; its secret is shown this once',
        body: { ...NewToken, examples: [{ name: 'ci', role: 'operator' }] },
      },
    },
    ({ body }, reply) => reply.code(201).send(access.addToken(body.name, body.role, body.expires ?? null)),
  )
  app.delete<{ Params: { name: string } }>(
    '/api/v1/tokens/:name',
    { config, schema: { summary: 'Take it back, with its sessions', params: Strict({ name: TokenName }) } },
    ({ params }, reply) => {
      access.removeToken(params.name)
      return reply.code(204).send()
    },
  )
  app.get<{ Querystring: { limit?: string } }>(
    '/api/v1/audit',
    {
      config,
      schema: {
        summary: 'Who called what, newest first',
        querystring: Strict({ limit: Type.Optional(Count) }),
      },
    },
    ({ query }) => ({ entries: access.audited(limitOf(query)) }),
  )
}
