import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DeployError } from '../../shared/errors.ts'
import { accessRoles, type Access, type AccessRole, type Identity } from '../history/access.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may; a route without a role is open to everybody. */
    role?: AccessRole
    /** Its body may take as long as it takes. */
    isUpload?: boolean
  }
  interface FastifyRequest {
    identity: Identity | null
  }
}

export const sessionCookie = 'deployctl_session'

/** The whole page comes from here, and nobody may frame it. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
}

const isSafe = (method: string) => method === 'GET' || method === 'HEAD'
const rank = (role: AccessRole) => accessRoles.indexOf(role)

export type GuardOptions = {
  access: Access
  /** Names under which it may be addressed besides loopback: against rebinding of names. */
  hosts: readonly string[]
  /** Nobody else can ask: no token is wanted. */
  isOwn: boolean
  /** How long a body may take, in milliseconds. */
  bodyMs: number
}

const owner: Identity = { id: '', name: 'this machine', role: 'admin' }

/** Who is there, whether it comes from our own page, and whether it may; every call is kept. */
export function guard(app: FastifyInstance, options: GuardOptions): void {
  app.decorateRequest('identity', null)
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(securityHeaders)
  })
  // After the limit of requests, which counts those as well that are refused here; before any body is read.
  app.addHook('preParsing', async (request) => {
    checkHost(request, options)
    request.identity = options.isOwn ? owner : identify(request, options.access)
    checkOrigin(request)
    const needed = request.routeOptions.config.role
    if (needed !== undefined) checkRole(request.identity, needed)
  })
  // Who sends a body byte by byte is not heard out.
  app.addHook('preParsing', async ({ raw, method, routeOptions }) => {
    if (isSafe(method) || routeOptions.config.isUpload === true) return
    const timer = setTimeout(() => raw.destroy(), options.bodyMs).unref()
    raw.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer))
  })
  app.addHook('onResponse', async (request, reply) => keep(request, reply, options.access))
}

const isLoopback = (name: string) =>
  name === 'localhost' || name === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(name)

/** A page of somebody else whose name suddenly leads here still has its own name in Host. */
function checkHost({ headers }: FastifyRequest, { hosts }: GuardOptions) {
  const { host = '' } = headers
  const name = host.replace(/:\d+$/, '').toLowerCase()
  if (!isLoopback(name) && !hosts.includes(name))
    throw new DeployError('E_REQUEST_ORIGIN', {
      why: `"${host.slice(0, 100)}" is no name of this controller`,
    })
}

function identify({ headers, cookies }: FastifyRequest, access: Access): Identity | null {
  const bearer = /^Bearer (dpl_\S{1,100})$/.exec(headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return access.byToken(bearer)
  const session = cookies[sessionCookie]
  return session === undefined ? null : access.bySession(session)
}

/** What changes something comes from our own page, or from a program, which has a token and no origin. */
function checkOrigin({ method, headers }: FastifyRequest) {
  if (isSafe(method)) return
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const isOwn = origin === undefined || origin === `http://${host}` || origin === `https://${host}`
  if (!isOwn || (site !== undefined && site !== 'same-origin' && site !== 'none'))
    throw new DeployError('E_REQUEST_ORIGIN', { why: 'it comes from a page of somebody else' })
}

function checkRole(identity: Identity | null, needed: AccessRole) {
  if (identity === null) throw new DeployError('E_TOKEN', { why: 'there is no valid token or session' })
  if (rank(identity.role) < rank(needed))
    throw new DeployError('E_FORBIDDEN', { needed, name: identity.name, role: identity.role })
}

/** Calls of the API; what a page is made of tells nobody anything. */
function keep({ identity, method, url, ip }: FastifyRequest, { statusCode }: FastifyReply, access: Access) {
  const path = url.split('?')[0]?.slice(0, 300) ?? ''
  if (!path.startsWith('/api/') && path !== '/metrics') return
  access.audit({
    who: identity?.name ?? '-',
    role: identity?.role ?? '-',
    method,
    path,
    status: statusCode,
    address: ip,
  })
}
