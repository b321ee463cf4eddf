import type { FastifyInstance } from 'fastify'
import { DeployError } from '../../shared/errors.ts'
import { Name, OpId } from '../../shared/formats/names.ts'
import { Strict, Type } from '../../shared/schema.ts'
import type { Daemon } from '../daemon/daemon.ts'
import type { Live } from './live.ts'
import { Count, inRollout, limitOf, Nothing } from './schemas.ts'
import { rolloutSummaries, rolloutView } from './views/rollouts.ts'

const Steering = Type.Union([
  Strict({ do: Type.Union([Type.Literal('pause'), Type.Literal('resume'), Type.Literal('retry')]) }),
  Strict({
    do: Type.Literal('abort'),
    undo: Type.Union([Type.Literal('nothing'), Type.Literal('batch'), Type.Literal('all')]),
  }),
])

export function addRollouts(app: FastifyInstance, daemon: Daemon, live: Live): void {
  const { history } = daemon.site
  app.get<{ Querystring: { service?: string; environment?: string; limit?: string } }>(
    '/api/v1/rollouts',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Rollouts, newest first',
        querystring: Strict({
          service: Type.Optional(Name),
          environment: Type.Optional(Name),
          limit: Type.Optional(Count),
        }),
      },
    },
    ({ query }) => ({ rollouts: rolloutSummaries(history, query, limitOf(query)) }),
  )
  app.get<{ Params: { id: string } }>(
    '/api/v1/rollouts/:id',
    { config: { role: 'viewer' }, schema: { summary: 'One rollout with all its hosts', params: inRollout } },
    ({ params }) => {
      const view = rolloutView(history, params.id)
      if (!view) throw new DeployError('E_ROLLOUT_UNKNOWN', { id: params.id.slice(0, 8) })
      return view
    },
  )
  app.get<{ Params: { id: string }; Querystring: { after?: string } }>(
    '/api/v1/rollouts/:id/events',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'What happened in a rollout, in its order',
        params: inRollout,
        querystring: Strict({ after: Type.Optional(Count) }),
      },
    },
    ({ params, query }) => ({ events: history.rollouts.eventsAfter(params.id, Number(query.after ?? 0)) }),
  )
  app.post<{ Params: { id: string }; Body: { do: 'pause' } | { do: 'abort'; undo: 'all' } }>(
    '/api/v1/rollouts/:id/commands',
    {
      config: { role: 'operator' },
      schema: {
        summary: 'Pause, resume (promote), retry or abort it',
        params: inRollout,
        body: { ...Steering, examples: [{ do: 'pause' }] },
        response: { 202: Nothing },
      },
    },
    async ({ params, body }, reply) => {
      await daemon.steer(params.id, body)
      return reply.code(202).send({})
    },
  )
  app.get<{ Querystring: { rollout?: string } }>(
    '/api/v1/live',
    {
      config: { role: 'viewer', rateLimit: false },
      schema: {
        summary: 'Server-sent events: rollout, fleet, schedules; and event, of the rollout that is named',
        querystring: Strict({ rollout: Type.Optional(OpId) }),
        produces: ['text/event-stream'],
      },
    },
    (request, reply) => {
      if (live.isFull) throw new DeployError('E_TOO_MANY_REQUESTS', { seconds: 10 })
      const after = Number(/^\d{1,9}$/.exec(String(request.headers['last-event-id'] ?? ''))?.[0] ?? 0)
      reply.hijack()
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      live.add(reply.raw, request.query.rollout ?? null, after)
    },
  )
}
