import type { FastifyInstance } from 'fastify'
import { Gauge, Registry } from 'prom-client'
import type { Daemon } from '../daemon/daemon.ts'
import { openFleet } from '../identity/fleet.ts'
import type { Live } from './live.ts'

/** What Prometheus reads. Values are asked of the database when it comes. */
export function addMetrics(app: FastifyInstance, daemon: Daemon, live: Live): void {
  const { site } = daemon
  const { history } = site
  const register = new Registry()
  const registers = [register]
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name: `deployctl_${name}`, help, labelNames, registers })
  const hosts = gauge('hosts', 'Hosts by how they were when they were asked last', [
    'service',
    'environment',
    'state',
  ])
  const rollouts = gauge('rollouts', 'The newest thousand rollouts by state', ['service', 'state'])
  const runs = gauge('schedule_last_run_seconds', 'When the newest run of a schedule was due', [
    'schedule',
    'state',
  ])
  const expiry = gauge('root_expires_seconds', 'When the root of trust runs out', [])
  const watchers = gauge('live_clients', 'Clients of /api/v1/live', [])

  function collect() {
    for (const one of [hosts, rollouts, runs]) one.reset()
    for (const { service, environment, state, error } of history.hostStates.all()) {
      const isUp = state?.instances.some(({ state: at }) => at === 'running') === true
      const told = error ? 'unreachable' : isUp ? 'running' : 'down'
      hosts.inc({ service, environment, state: told })
    }
    for (const { service, state } of history.rollouts.list(null, null, 1000)) rollouts.inc({ service, state })
    for (const { spec } of history.schedules.all()) {
      const [last] = history.schedules.runs(spec.name, 1)
      if (last) runs.set({ schedule: spec.name, state: last.state }, last.slot / 1000)
    }
    watchers.set(live.count)
    try {
      expiry.set(Date.parse(openFleet(site.configDir).root.expires) / 1000)
    } catch {
      expiry.reset()
    }
  }

  app.get(
    '/metrics',
    { config: { role: 'viewer' }, schema: { summary: 'For Prometheus', produces: ['text/plain'] } },
    async (_request, reply) => {
      collect()
      return reply
        .type(register.contentType)
        .serializer(String)
        .send(await register.metrics())
    },
  )
  app.get('/healthz', { schema: { hide: true } }, () => ({ ok: true }))
}
