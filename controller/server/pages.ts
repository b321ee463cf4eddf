import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { DeployError } from '../../shared/errors.ts'
import type { Pages } from '../dashboard/bundle.ts'

const types: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'app.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
}

/** As they were built; in a checkout they are bundled when they are wanted. */
export async function readPages(): Promise<Pages> {
  const built = join(import.meta.dirname, 'dashboard')
  const isBuilt = existsSync(join(built, 'app.js'))
  if (isBuilt) return new Map(Object.keys(types).map((name) => [name, readFileSync(join(built, name))]))
  const { bundlePages } = await import('../dashboard/bundle.ts')
  return bundlePages()
}

/** The same page for every path: it reads the path itself. */
export function addPages(app: FastifyInstance, pages: Pages): void {
  const tags = new Map([...pages].map(([name, bytes]) => [name, tagOf(bytes)]))
  const send = (name: string) =>
    app.get(`/${name === 'index.html' ? '' : name}`, { schema: { hide: true } }, (request, reply) => {
      const tag = tags.get(name) ?? ''
      void reply.headers({ 'cache-control': 'no-cache', etag: tag })
      if (request.headers['if-none-match'] === tag) return reply.code(304).send()
      return reply
        .type(types[name] ?? '')
        .serializer(asIs)
        .send(pages.get(name))
    })
  for (const name of pages.keys()) send(name)
  app.setNotFoundHandler((request, reply) => {
    const isPage = request.method === 'GET' && !/^\/(?:api|metrics)/.test(request.url)
    if (isPage && (request.headers.accept ?? '').includes('text/html'))
      return reply
        .type(types['index.html'] ?? '')
        .serializer(asIs)
        .send(pages.get('index.html'))
    return reply
      .code(404)
      .send(
        new DeployError('E_DOCUMENT_INVALID', { what: 'request', why: 'there is no such route' }).toJSON(),
      )
  })
}

const asIs = (value: unknown) => value as string
const tagOf = (bytes: Buffer) => `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`
