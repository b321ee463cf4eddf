import type { FastifyInstance } from 'fastify'
import { Name } from '../../shared/formats/names.ts'
import { Strict, Type } from '../../shared/schema.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { placeOf } from '../daemon/site.ts'
import type { ScheduleRun } from '../history/schedules.ts'
import { openCron } from '../schedule/cron.ts'
import { Schedule } from '../schedule/schedule-schema.ts'
import { Count, inSchedule, limitOf, Nothing } from './schemas.ts'

const dayMs = 86_400_000
const shownNext = 5
const maxDays = 62
const mostSlots = 500

const example: Schedule = {
  name: 'nightly',
  cron: '0 3 * * *',
  timeZone: 'Europe/Berlin',
  service: 'shop',
  environment: 'production',
  action: { do: 'deploy', channel: 'stable' },
  lateSeconds: 3600,
  jitterSeconds: 300,
  isPaused: false,
}

type Named = { Params: { name: string } }

export function addSchedules(app: FastifyInstance, daemon: Daemon): void {
  const { schedules } = daemon.site.history
  const [config, steering] = [{ role: 'viewer' }, { role: 'operator' }] as const
  const changed = () => daemon.schedulesChanged()
  app.get(
    '/api/v1/schedules',
    { config, schema: { summary: 'All schedules, with their next and last runs' } },
    () => ({
      schedules: schedules.all().map(({ spec, added }) => ({
        ...spec,
        added,
        next: spec.isPaused ? [] : openCron(spec.cron, spec.timeZone).next(daemon.now(), shownNext).map(iso),
        last: schedules.runs(spec.name, 1).map(runView)[0] ?? null,
      })),
    }),
  )
  app.post<{ Body: Schedule }>(
    '/api/v1/schedules',
    {
      config: steering,
      schema: { summary: 'A new schedule', body: { ...Schedule, examples: [example] } },
    },
    async ({ body }, reply) => {
      openCron(body.cron, body.timeZone)
      // Whether there is such a place, and such hosts, is better known now than at three in the morning.
      await placeOf(daemon.site, body.service, body.environment, { on: body.on })
      schedules.add(body, daemon.now())
      changed()
      return reply.code(201).send(body)
    },
  )
  app.get<{ Querystring: { days?: string } }>(
    '/api/v1/schedules/calendar',
    {
      config,
      schema: {
        summary: 'What is due in the coming days, and what was in as many before',
        querystring: Strict({ days: Type.Optional(Count) }),
      },
    },
    ({ query }) => {
      const days = Math.min(maxDays, Math.max(1, Number(query.days ?? '7')))
      const now = daemon.now()
      const due = schedules.all().flatMap(({ spec }) =>
        spec.isPaused
          ? []
          : openCron(spec.cron, spec.timeZone)
              .slots(now, now + days * dayMs)
              .slice(0, mostSlots)
              .map((slot) => ({ schedule: spec.name, service: spec.service, at: iso(slot) })),
      )
      const runs = schedules.runs(null, mostSlots).filter(({ slot }) => slot >= now - days * dayMs)
      return { now: iso(now), due: due.toSorted((a, b) => (a.at < b.at ? -1 : 1)), runs: runs.map(runView) }
    },
  )
  app.patch<Named & { Body: { isPaused: boolean } }>(
    '/api/v1/schedules/:name',
    {
      config: steering,
      schema: {
        summary: 'Pause it, or let it go on',
        params: inSchedule,
        body: { ...Strict({ isPaused: Type.Boolean() }), examples: [{ isPaused: true }] },
      },
    },
    ({ params, body }) => {
      const spec = { ...schedules.get(params.name).spec, ...body }
      // What came meanwhile has passed, and is not made up for.
      schedules.change(spec)
      changed()
      return spec
    },
  )
  app.delete<Named>(
    '/api/v1/schedules/:name',
    { config: steering, schema: { summary: 'Remove it; what it did stays known', params: inSchedule } },
    ({ params }, reply) => {
      schedules.remove(params.name)
      changed()
      return reply.code(204).send()
    },
  )
  app.post<Named>(
    '/api/v1/schedules/:name/runs',
    {
      config: steering,
      schema: { summary: 'Run it now', params: inSchedule, body: { ...Nothing, examples: [{}] } },
    },
    ({ params }, reply) => {
      const slot = schedules.ask(params.name, daemon.now())
      changed()
      return reply.code(202).send({ slot: iso(slot) })
    },
  )
  app.get<{ Params: { name: string }; Querystring: { limit?: string } }>(
    '/api/v1/schedules/:name/runs',
    {
      config,
      schema: {
        summary: 'What became of its slots, newest first',
        params: Strict({ name: Name }),
        querystring: Strict({ limit: Type.Optional(Count) }),
      },
    },
    ({ params, query }) => ({ runs: schedules.runs(params.name, limitOf(query)).map(runView) }),
  )
}

const iso = (ms: number) => new Date(ms).toISOString()

const runView = ({ slot, begins, began, ended, ...rest }: ScheduleRun) => ({
  ...rest,
  slot: iso(slot),
  begins: iso(begins),
  began: began === null ? null : iso(began),
  ended: ended === null ? null : iso(ended),
})
