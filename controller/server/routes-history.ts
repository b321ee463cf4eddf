import type { FastifyInstance } from 'fastify'
import { DeployError, isErrorCode } from '../../shared/errors.ts'
import { catalogue } from '../../shared/error-catalogue.ts'
import { Manifest } from '../../shared/formats/manifest.ts'
import { Digest, Instant, Name, OpId } from '../../shared/formats/names.ts'
import { parserOf, Strict, Type } from '../../shared/schema.ts'
import { whyPage } from '../cli/why-page.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { placeOf } from '../daemon/site.ts'
import type { History } from '../history/history.ts'
import type { Wanted } from '../history/search.ts'
import { tellStory } from '../rollout/why.ts'
import { Count, limitOf } from './schemas.ts'
import { releaseDiff } from './views/release-diff.ts'

const Text = Type.String({ minLength: 1, maxLength: 128 })
const manifestParser = parserOf(Manifest)
const config = { role: 'viewer' } as const

export function addHistory(app: FastifyInstance, daemon: Daemon): void {
  const { history } = daemon.site
  app.get<{ Querystring: Wanted & { limit?: string } }>(
    '/api/v1/history',
    {
      config,
      schema: {
        summary: 'Orders, newest first',
        querystring: Strict({
          service: Type.Optional(Name),
          environment: Type.Optional(Name),
          who: Type.Optional(Text),
          result: Type.Optional(Name),
          host: Type.Optional(Name),
          text: Type.Optional(Text),
          before: Type.Optional(Instant),
          limit: Type.Optional(Count),
        }),
      },
    },
    ({ query }) => ({ orders: history.search.pushes(query, limitOf(query)) }),
  )
  app.get<{ Params: { opId: string } }>(
    '/api/v1/orders/:opId',
    {
      config,
      schema: { summary: 'All that explains how an order came out', params: Strict({ opId: OpId }) },
    },
    ({ params }) => explain(daemon, params.opId),
  )
  app.get<{ Querystring: { service?: string; limit?: string } }>(
    '/api/v1/releases',
    {
      config,
      schema: {
        summary: 'Releases that are known here, newest first; and what was published',
        querystring: Strict({ service: Type.Optional(Name), limit: Type.Optional(Count) }),
      },
    },
    ({ query }) => ({
      releases: history.search.releases(query.service ?? null, limitOf(query)),
      published: history.published
        .list(query.service ?? null, null, null, limitOf(query))
        .map(({ approvals, ...one }) => ({ ...one, approvals: approvals.length })),
    }),
  )
  app.get<{ Params: { before: string; after: string } }>(
    '/api/v1/releases/:before/diff/:after',
    {
      config,
      schema: {
        summary: 'What one release has and another has not',
        params: Strict({ before: Digest, after: Digest }),
      },
    },
    ({ params }) => releaseDiff(manifestOf(history, params.before), manifestOf(history, params.after)),
  )
}

/** @throws DeployError E_NOT_PUBLISHED */
function manifestOf(history: History, release: string): Manifest {
  const kept = history.manifest(release)
  const manifest = kept && (JSON.parse(kept.bytes.toString()) as unknown)
  if (manifestParser.check(manifest)) return manifest
  throw new DeployError('E_NOT_PUBLISHED', { release: release.slice(0, 12) })
}

async function explain({ site }: Daemon, opId: string) {
  const { history } = site
  const push = history.push(opId)
  if (!push) throw new DeployError('E_ROLLOUT_UNKNOWN', { id: opId.slice(0, 8) })
  const record = push.rollout === null ? null : history.rollouts.load(push.rollout)
  const place = await placeOf(site, push.service, push.environment)
  const story = await tellStory([push], record, null, place)
  const { service, environment, version, release, at, action, signer, reason, rollout, provenance } = push
  const steps = history.results(opId)
  return {
    opId,
    service,
    environment,
    version,
    release,
    at,
    action,
    signer,
    reason,
    rollout,
    provenance,
    /** The same as `deployctl why` writes, to attach to a ticket. */
    page: whyPage(story),
    results: steps.map(({ host, result, strategy, ended, steps: own }) => ({
      host,
      result,
      strategy,
      ended,
      ms: own.reduce((sum, { ms }) => sum + ms, 0),
    })),
    hosts: story.hosts.map(({ host, result, events, facts, away }) => ({
      host,
      result: result?.result ?? null,
      strategy: result?.strategy ?? null,
      reasons: result?.reasons ?? [],
      error: result?.error ? { ...result.error, next: nextOf(result.error.code, host) } : null,
      events,
      facts,
      away,
    })),
  }
}

const nextOf = (code: string, host: string): string | null =>
  isErrorCode(code) ? catalogue[code].next.replaceAll(/\{host\}/g, host) : null
