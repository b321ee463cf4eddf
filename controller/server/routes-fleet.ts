import type { FastifyInstance } from 'fastify'
import { asDeployError, DeployError } from '../../shared/errors.ts'
import { Name } from '../../shared/formats/names.ts'
import { parserOf, Strict, Type } from '../../shared/schema.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { windowText } from '../../shared/trust/windows.decide.ts'
import { version } from '../../shared/version.ts'
import { LogLine } from '../../shared/wire/api.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { placeOf } from '../daemon/site.ts'
import { openFleet } from '../identity/fleet.ts'
import { openSession, type Session } from '../push/session.ts'
import { Count, limitOf, Nothing } from './schemas.ts'
import { fleetView } from './views/fleet.ts'

const lineParser = parserOf(LogLine)

async function readLog({ client }: Session, service: string, count: number): Promise<LogLine[]> {
  try {
    const lines: LogLine[] = []
    for await (const line of client.lines(`/v1/services/${service}/logs?lines=${count}`, lineParser))
      lines.push(line)
    return lines
  } finally {
    client.close()
  }
}

export function addFleet(app: FastifyInstance, daemon: Daemon): void {
  const { site } = daemon
  const config = { role: 'viewer' } as const
  app.get('/api/v1/fleet', { config, schema: { summary: 'What runs where' } }, async () => {
    const { projects, failed } = await site.projects.all()
    return {
      version,
      environments: fleetView(site.history, projects),
      problems: failed.map(({ dir, error }) => ({ dir, message: asDeployError(error).message })),
    }
  })
  app.post(
    '/api/v1/fleet/look',
    {
      config: { role: 'operator' },
      schema: { summary: 'Ask all hosts now', body: { ...Nothing, examples: [{}] } },
    },
    (_request, reply) => {
      daemon.watch.soon()
      return reply.code(202).send({})
    },
  )
  app.get<{ Params: { service: string } }>(
    '/api/v1/services/:service',
    { config, schema: { summary: 'How a service is configured', params: Strict({ service: Name }) } },
    async ({ params }) => {
      const { config: own } = await site.projects.get(params.service)
      const { environments, notify: _, ...rest } = own
      return {
        ...rest,
        environments: Object.entries(environments).map(([name, { hosts, ...settings }]) => ({
          name,
          hosts: Object.keys(hosts),
          protected: settings.protected ?? false,
          rollout: settings.rollout ?? null,
          // Values may be nobody's business; their names are not.
          variables: Object.keys(settings.env ?? {}),
        })),
      }
    },
  )
  app.get<{
    Params: { service: string }
    Querystring: { environment: string; host: string; lines?: string }
  }>(
    '/api/v1/services/:service/logs',
    {
      config,
      schema: {
        summary: 'The last lines that a service wrote on a host',
        params: Strict({ service: Name }),
        querystring: Strict({ environment: Name, host: Name, lines: Type.Optional(Count) }),
      },
    },
    async ({ params, query }) => {
      const { service } = params
      const { target, sessions } = await placeOf(site, service, query.environment, { only: [query.host] })
      const [host] = target.hosts
      if (!host) throw new DeployError('E_NO_HOSTS', { environment: query.environment })
      return {
        lines: await readLog(
          await openSession(host, sessions),
          service,
          limitOf({ limit: query.lines ?? '100' }),
        ),
      }
    },
  )
  app.get('/api/v1/trust', { config, schema: { summary: 'Whom the fleet trusts, and until when' } }, () => {
    const { root } = openFleet(site.configDir)
    return {
      fleet: root.fleet,
      version: root.version,
      epoch: root.epoch,
      expires: root.expires,
      thresholds: root.thresholds,
      keys: root.keys.map(({ owner, key, roles, notAfter = null, scope = null }) => ({
        owner,
        fingerprint: fingerprintOf(publicKeyBlob(key)),
        roles,
        notAfter,
        scope,
      })),
      policies: (root.policies ?? []).map(({ windows = [], ...policy }) => ({
        ...policy,
        windows: windows.map(windowText),
      })),
    }
  })
}
