import { connect } from 'node:net'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileSync, mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { rolloutRule } from '../../controller/config/rollout-policy.ts'
import { apply, planned } from '../../controller/rollout/machine.ts'
import { parserOf, type TSchema } from '../../shared/schema.ts'
import { makeController } from '../rig/controller.ts'
import { makeHome } from '../rig/host.ts'

const config = `service: shop
run: { argv: [node, server.js] }
environments: { production: { hosts: {} } }
`

/** A controller that knows one service without hosts. */
async function make(t: Test, options: Parameters<typeof makeController>[2] = {}) {
  const home = await makeHome()
  const project = join(home.dir, 'shop')
  mkdirSync(project)
  writeFileSync(join(project, 'deploy.yaml'), config)
  const controller = await makeController(home, project, options)
  t.teardown(async () => {
    await controller[Symbol.asyncDispose]()
    rmSync(home.dir, { recursive: true, force: true })
  })
  return controller
}

type Operation = { requestBody?: { content: Record<string, { schema: TSchema; example?: object }> } }

t.test('who may call what: each route, by each role', async (t) => {
  const { app, token } = await make(t)
  const tokens = { nobody: '', viewer: token('viewer'), operator: token('operator'), admin: token('admin') }
  const routes = [
    ['GET', '/api/v1/fleet', 'viewer'],
    ['POST', '/api/v1/fleet/look', 'operator'],
    ['GET', '/api/v1/services/shop', 'viewer'],
    ['PUT', '/api/v1/services/shop', 'admin'],
    ['GET', '/api/v1/services/shop/logs?environment=production&host=web1', 'viewer'],
    ['GET', '/api/v1/trust', 'viewer'],
    ['GET', '/api/v1/rollouts', 'viewer'],
    ['GET', `/api/v1/rollouts/${'0'.repeat(32)}`, 'viewer'],
    ['GET', `/api/v1/rollouts/${'0'.repeat(32)}/events`, 'viewer'],
    ['POST', `/api/v1/rollouts/${'0'.repeat(32)}/commands`, 'operator'],
    ['GET', '/api/v1/history', 'viewer'],
    ['GET', `/api/v1/orders/${'0'.repeat(32)}`, 'viewer'],
    ['GET', '/api/v1/releases', 'viewer'],
    ['GET', `/api/v1/releases/${'0'.repeat(64)}/diff/${'0'.repeat(64)}`, 'viewer'],
    ['PUT', `/api/v1/releases/${'0'.repeat(64)}`, 'operator'],
    ['PUT', `/api/v1/releases/${'0'.repeat(64)}/content`, 'operator'],
    ['POST', '/api/v1/published', 'operator'],
    ['GET', '/api/v1/schedules', 'viewer'],
    ['POST', '/api/v1/schedules', 'operator'],
    ['GET', '/api/v1/schedules/calendar', 'viewer'],
    ['PATCH', '/api/v1/schedules/nightly', 'operator'],
    ['DELETE', '/api/v1/schedules/nightly', 'operator'],
    ['POST', '/api/v1/schedules/nightly/runs', 'operator'],
    ['GET', '/api/v1/schedules/nightly/runs', 'viewer'],
    ['GET', '/api/v1/session', 'viewer'],
    ['GET', '/api/v1/tokens', 'admin'],
    ['POST', '/api/v1/tokens', 'admin'],
    ['DELETE', '/api/v1/tokens/somebody', 'admin'],
    ['GET', '/api/v1/audit', 'admin'],
    ['GET', '/metrics', 'viewer'],
  ] as const
  const ranks = ['nobody', 'viewer', 'operator', 'admin'] as const
  for (const [method, url, needed] of routes)
    for (const who of ranks) {
      const headers = who === 'nobody' ? {} : { authorization: `Bearer ${tokens[who]}` }
      const { statusCode } = await app.inject({ method, url, headers: { host: 'localhost', ...headers } })
      const may = ranks.indexOf(who) >= ranks.indexOf(needed)
      const expected = may
        ? statusCode !== 401 && statusCode !== 403
        : statusCode === (who === 'nobody' ? 401 : 403)
      t.ok(expected, `${method} ${url} by ${who}: ${statusCode}`)
    }
  const { paths } = (await app.inject({ url: '/api/v1/openapi.json', headers: { host: 'localhost' } })).json<{
    paths: Record<string, Record<string, Operation>>
  }>()
  const described = Object.entries(paths).flatMap(([path, all]) =>
    Object.keys(all).map((method) => `${method} ${path}`),
  )
  const open = ['get /api/v1/live', 'post /api/v1/session', 'delete /api/v1/session']
  t.equal(described.length, routes.length + open.length, 'each route that there is was tried')
  const { entries } = (
    await app.inject({
      url: '/api/v1/audit?limit=1000',
      headers: { host: 'localhost', authorization: `Bearer ${tokens.admin}` },
    })
  ).json<{ entries: { who: string; method: string; path: string; status: number }[] }>()
  t.match(
    entries.find(({ path, who }) => path === '/api/v1/tokens' && who === 'the-operator'),
    { status: 403 },
  )
  t.ok(entries.some(({ path, who, status }) => path === '/api/v1/fleet' && who === '-' && status === 401))
})

t.test('the examples of its own description are taken as they are', async (t) => {
  const { app, token } = await make(t)
  const headers = { host: 'localhost', authorization: `Bearer ${token('admin')}` }
  const ask = (options: Omit<InjectOptions, 'method'> & { method?: string }) =>
    app.inject({ ...options, headers } as InjectOptions)
  const { paths } = (await ask({ url: '/api/v1/openapi.json' })).json<{
    paths: Record<string, Record<string, Operation>>
  }>()
  const ran: string[] = []
  for (const [path, operations] of Object.entries(paths))
    for (const [method, { requestBody }] of Object.entries(operations)) {
      const { schema, example } = requestBody?.content['application/json'] ?? {}
      if (!schema || example === undefined || path.includes('{id}') || path === '/api/v1/published') continue
      const url = path.replace('{name}', 'nightly').replace('{service}', 'shop')
      t.ok(parserOf(schema).check(example), `${path}: its example fits its schema`)
      const { statusCode, body } = await ask({
        method: method.toUpperCase(),
        url,
        payload: example,
      })
      t.ok(statusCode < 300, `${method} ${url}: ${statusCode} ${body}`)
      ran.push(`${method} ${path}`)
    }
  t.match(ran, [/fleet/, /schedules/], 'there are some')
  t.ok(ran.length >= 5, ran.join())
  const reads = Object.keys(paths).filter(
    (path) => paths[path]?.['get'] && !path.includes('{') && !path.endsWith('live'),
  )
  for (const url of reads) t.equal((await ask({ url })).statusCode, 200, url)
})

t.test('hostile requests', async (t) => {
  const { app, token, listen } = await make(t, { bodyMs: 300, perMinute: 60, hosts: ['deploy.example.com'] })
  const admin = token('admin')
  const authorization = `Bearer ${admin}`
  const body = { name: 'x', role: 'viewer' }
  const post = (headers: Record<string, string>, payload: unknown = body) =>
    app.inject({ method: 'POST', url: '/api/v1/tokens', headers, payload: payload as object })
  const code = async (answer: ReturnType<typeof post>) => (await answer).json<{ code: string }>().code

  await t.test('a name that was made to lead here, and pages of others', async (t) => {
    t.equal(await code(post({ host: 'evil.example', authorization })), 'E_REQUEST_ORIGIN')
    t.equal(await code(post({ host: 'localhost.evil.example', authorization })), 'E_REQUEST_ORIGIN')
    t.equal(await code(post({ host: '127.0.0.1.evil.example', authorization })), 'E_REQUEST_ORIGIN')
    const here = { host: 'localhost:8700', authorization }
    t.equal(await code(post({ ...here, origin: 'https://evil.example' })), 'E_REQUEST_ORIGIN')
    t.equal(await code(post({ ...here, origin: 'null' })), 'E_REQUEST_ORIGIN')
    t.equal(await code(post({ ...here, origin: 'http://localhost:8701' })), 'E_REQUEST_ORIGIN')
    t.equal(await code(post({ ...here, 'sec-fetch-site': 'cross-site' })), 'E_REQUEST_ORIGIN')
    t.equal((await post({ ...here, origin: 'http://localhost:8700' })).statusCode, 201)
    t.equal(
      (await post({ host: 'deploy.example.com', origin: 'https://deploy.example.com', authorization }))
        .statusCode,
      201,
    )
  })

  await t.test('other content than JSON, too much of it, and what fits no schema', async (t) => {
    const here = { host: 'localhost', authorization }
    const text = { ...here, 'content-type': 'text/plain' }
    t.equal((await post(text, JSON.stringify(body))).statusCode, 400)
    t.equal(
      (await post({ ...here, 'content-type': 'application/x-www-form-urlencoded' }, 'name=x&role=admin'))
        .statusCode,
      400,
    )
    t.match((await post(here, { ...body, name: 'x'.repeat(70_000) })).json(), { message: /too large/ })
    t.match((await post(here, { ...body, more: 1 })).json(), { code: 'E_DOCUMENT_INVALID' })
    t.match((await post(here, { name: '../x', role: 'viewer' })).json(), { code: 'E_DOCUMENT_INVALID' })
    const polluting = await app.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      headers: { ...here, 'content-type': 'application/json' },
      payload: '{"name":"x","role":"viewer","__proto__":{"role":"admin"}}',
    })
    t.equal(polluting.statusCode, 400)
  })

  await t.test('a session is a cookie that no script and no other site gets', async (t) => {
    const begun = await app.inject({
      method: 'POST',
      url: '/api/v1/session',
      headers: { host: 'localhost', origin: 'http://localhost' },
      payload: { token: admin },
    })
    const [cookie] = [begun.headers['set-cookie'] ?? ''].flat()
    t.match(cookie, /^deployctl_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
    const session = { host: 'localhost', cookie: cookie?.split(';')[0] ?? '' }
    t.equal(
      (await app.inject({ url: '/api/v1/session', headers: session })).json<{ role: string }>().role,
      'admin',
    )
    t.equal(await code(post({ ...session, origin: 'https://evil.example' })), 'E_REQUEST_ORIGIN')
    await app.inject({ method: 'DELETE', url: '/api/v1/session', headers: session })
    t.equal((await app.inject({ url: '/api/v1/session', headers: session })).statusCode, 401)
    const proxied = await app.inject({
      method: 'POST',
      url: '/api/v1/session',
      headers: { host: 'deploy.example.com', 'x-forwarded-proto': 'https' },
      payload: { token: admin },
    })
    t.match(proxied.headers['set-cookie'], /; Secure/)
  })

  await t.test('headers of every answer', async (t) => {
    for (const url of ['/api/v1/fleet', '/nothing', '/api/v1/openapi.json']) {
      const { headers } = await app.inject({ url, headers: { host: 'localhost' } })
      t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self';/)
      t.match(headers, {
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      })
      t.notOk(headers['access-control-allow-origin'])
    }
  })

  await t.test('who sends a body byte by byte is cut off', async (t) => {
    const { port } = new URL(await listen())
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{`,
    )
    const closed = new Promise((resolve) => socket.once('close', resolve))
    const timer = setInterval(() => socket.write(' '), 50)
    await closed
    clearInterval(timer)
    t.pass('closed')
  })

  await t.test('too many requests from one address', async (t) => {
    const answers = await Promise.all(
      Array.from({ length: 80 }, () => app.inject({ url: '/api/v1/fleet', headers: { host: 'localhost' } })),
    )
    const refused = answers.filter(({ statusCode }) => statusCode === 429)
    t.ok(refused.length > 0)
    t.match(refused[0]?.json(), { code: 'E_TOO_MANY_REQUESTS', message: /\d+ s/ })
  })
})

t.test('a token that ran out, or was taken back, opens nothing', async (t) => {
  const { app, daemon } = await make(t)
  const { access } = daemon.site.history
  const gone = access.addToken('gone', 'admin', '2020-01-01T00:00:00.000Z').secret
  const back = access.addToken('back', 'admin', null).secret
  const session = access.beginSession(access.byToken(back)?.id ?? '')
  access.removeToken('back')
  const headers = [
    { authorization: `Bearer ${gone}` },
    { authorization: `Bearer ${back}` },
    { authorization: `Bearer dpl_${'0'.repeat(12)}_x` },
    { authorization: 'Basic YWRtaW46YWRtaW4=' },
    { cookie: `deployctl_session=${session}` },
    { cookie: 'deployctl_session=x' },
  ]
  for (const one of headers) {
    const { statusCode, body } = await app.inject({
      url: '/api/v1/fleet',
      headers: { host: 'localhost', ...one },
    })
    t.equal(statusCode, 401, JSON.stringify(one).slice(0, 40))
    t.notMatch(body, /dpl_\w{12}_/)
  }
})

t.test('whoever watches hears of a rollout when it begins, and of each change', async (t) => {
  const { daemon, listen, token } = await make(t)
  const url = await listen()
  const leaving = new AbortController()
  const headers = { authorization: `Bearer ${token('viewer')}` }
  const { body } = await fetch(`${url}/api/v1/live`, { headers, signal: leaving.signal })
  const { rollouts } = daemon.site.history
  const before = planned({
    id: '1'.repeat(32),
    began: new Date().toISOString(),
    batches: [['web1']],
    canary: false,
    policy: rolloutRule().policy,
  })
  const what = { action: 'deploy', service: 'shop', release: 'a'.repeat(64), version: 'v1' } as const
  const details = {
    what: { ...what, strategy: 'auto', reason: '', provenance: null, releaseSignatures: [] } as const,
    environment: { name: 'production', env: {} },
    confirmSeconds: 1,
    rehearse: false,
    onUnreachable: 'fail' as const,
    approvals: [],
    skipped: [],
  }
  rollouts.create({ rollout: before, details, hosts: {} }, 'somebody')
  const states: string[] = []
  let rest = ''
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    rest += text
    states.splice(
      0,
      states.length,
      ...[...rest.matchAll(/"state":"([a-z]+)"/g)].map(([, state = '']) => state),
    )
    if (states.length === 1) rollouts.save(before, apply(before, { type: 'begin' }), 'somebody', new Map())
    if (states.length === 2) break
  }
  leaving.abort()
  t.strictSame(states, ['planned', 'batch'])
})

t.test('two hundred who watch live', async (t) => {
  const { daemon, listen, token } = await make(t)
  const url = await listen()
  const authorization = `Bearer ${token('viewer')}`
  const leaving = new AbortController()
  const heard = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const { status, body } = await fetch(`${url}/api/v1/live`, {
        headers: { authorization },
        signal: leaving.signal,
      })
      return { status, reader: body?.pipeThrough(new TextDecoderStream()).getReader() }
    }),
  )
  t.equal(heard.filter(({ status }) => status === 200).length, 200)
  daemon.events.emit('schedules')
  const texts = await Promise.all(
    heard.map(async ({ reader }) => {
      let text = ''
      while (!text.includes('event: schedules')) {
        const { value, done } = (await reader?.read()) ?? { value: '', done: true }
        if (done) break
        text += value
      }
      return text
    }),
  )
  t.equal(texts.filter((text) => text.includes('event: schedules')).length, 200)
  leaving.abort()
  await delay(100)
})
