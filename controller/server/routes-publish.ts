import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { manifestLimits } from '../../shared/formats/manifest.ts'
import { Digest, Name, Signatures } from '../../shared/formats/names.ts'
import { Strict, Type } from '../../shared/schema.ts'
import { packType, SignedApproval } from '../../shared/wire/api.ts'
import type { Daemon } from '../daemon/daemon.ts'
import {
  acceptConfig,
  acceptContent,
  acceptHostKeys,
  acceptRelease,
  hasContent,
  type Publishing,
  type ReleaseHead,
} from '../daemon/publish.ts'

const configBytes = 1024 * 1024
/** A line of known_hosts. */
const HostKey = Type.String({
  pattern: '^[^\\s|@,*?!]{1,300} [a-z0-9@.-]{1,64} [A-Za-z0-9+/]+=*$',
  maxLength: 4096,
})
const Head = Strict({ manifest: Type.String({ maxLength: manifestLimits.bytes }), signatures: Signatures })
const Publish = Strict({
  service: Name,
  environment: Name,
  channel: Name,
  release: Digest,
  approvals: Type.Array(SignedApproval, { maxItems: 8 }),
})
const example = { service: 'shop', environment: 'production', channel: 'stable', approvals: [] }

export function addPublishing(app: FastifyInstance, daemon: Daemon): void {
  const { site } = daemon
  const operator = { role: 'operator' } as const
  /** Signed manifests whose content is awaited, by digest. */
  const heads = new Map<string, ReleaseHead>()
  app.addContentTypeParser(packType, (_request, payload, done) => done(null, payload))
  app.put<{ Params: { service: string }; Body: { config: string; hostKeys: string[] } }>(
    '/api/v1/services/:service',
    {
      // Who writes hosts and hooks there decides what the controller's key is used on.
      config: { role: 'admin' },
      bodyLimit: configBytes * 8,
      schema: {
        summary: 'The configuration of a service: its deploy.yaml with all hosts written out',
        params: Strict({ service: Name }),
        body: Strict({
          config: Type.String({ maxLength: configBytes }),
          hostKeys: Type.Array(HostKey, { maxItems: 10_000 }),
        }),
      },
    },
    async ({ params, body }, reply) => {
      await acceptConfig(site, params.service, body.config)
      await acceptHostKeys(site, body.hostKeys)
      daemon.watch.soon()
      return reply.code(204).send()
    },
  )
  app.put<{ Params: { release: string }; Body: ReleaseHead }>(
    '/api/v1/releases/:release',
    {
      config: operator,
      bodyLimit: manifestLimits.bytes * 2,
      schema: {
        summary: 'A signed manifest; the answer says whether its content is wanted',
        params: Strict({ release: Digest }),
        body: Head,
      },
    },
    ({ params, body }) => {
      const isHere = hasContent(site, params.release)
      if (!isHere) {
        if (heads.size > 8) heads.clear()
        heads.set(params.release, body)
      }
      return { wantsContent: !isHere }
    },
  )
  app.put<{ Params: { release: string } }>(
    '/api/v1/releases/:release/content',
    {
      config: { ...operator, isUpload: true },
      bodyLimit: manifestLimits.releaseBytes,
      schema: {
        summary: 'Its content, as a pack',
        params: Strict({ release: Digest }),
        consumes: [packType],
      },
    },
    async ({ params, body }, reply) => {
      const head = heads.get(params.release)
      if (head && body instanceof Readable) await acceptContent(site, params.release, head, body)
      heads.delete(params.release)
      return reply.code(204).send()
    },
  )
  app.post<{ Body: Publishing }>(
    '/api/v1/published',
    {
      config: operator,
      bodyLimit: configBytes * 4,
      schema: {
        summary: 'Make it the newest of a channel, with what people agreed to',
        body: { ...Publish, examples: [example] },
      },
    },
    async ({ body, identity }, reply) =>
      reply.code(201).send(await acceptRelease(site, body, identity?.name ?? 'this machine')),
  )
}
