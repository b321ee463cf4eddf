import t from 'tap'
import { text } from 'node:stream/consumers'
import { makeApp } from '../../../../agent/api/app.ts'
import type { Operations } from '../../../../agent/api/operations.ts'
import { DeployError } from '../../../../shared/errors.ts'
import { packType } from '../../../../shared/wire/api.ts'

const digest = 'a'.repeat(64)
const state = {
  service: 'shop',
  seq: 0,
  active: null,
  previous: null,
  version: null,
  environment: null,
  instances: [],
  addresses: {},
  deploying: null,
  challenge: digest,
  frozen: null,
}

/** Operations that record what reached them; the routes under test are real. */
function recorded(overrides: Partial<Operations> = {}) {
  const calls: unknown[][] = []
  const operations: Operations = {
    checkUp: async () => ({ findings: [] }),
    admit: () => {},
    roots: () => ({ roots: [] }),
    follow: () => ({ root: { version: 1, digest } }),
    receipts: () => ({ receipts: [] }),
    hello: () => ({
      api: 1,
      agent: '0.1.0',
      host: 'web1',
      fleet: 'f'.repeat(32),
      root: { version: 1, digest },
      receiptKey: 'ssh-ed25519 AAAA',
      now: '',
    }),
    services: async () => [state],
    code: async () => ({ code: null }),
    service: async () => state,
    async offer(service, pack) {
      calls.push(['offer', service, await text(pack)])
      return { release: digest, missing: [], state }
    },
    async upload(service, release, pack) {
      calls.push(['upload', service, release, await text(pack)])
      return { release, missing: [], state }
    },
    order: () => 'c'.repeat(32),
    freeze: async () => state,
    sample: async () => ({
      active: null,
      isRunning: false,
      restarts: 0,
      probes: [],
      metrics: null,
      problem: null,
    }),
    facts: () => ({
      agent: '0.1.0',
      os: '',
      kernel: '',
      arch: '',
      uptimeSeconds: 0,
      cpus: 1,
      load: [],
      memory: { total: 0, free: 0 },
      disk: { total: 0, free: 0 },
      now: '',
    }),
    confirm: (opId, caller) => void calls.push(['confirm', opId, caller.connection]),
    async *events() {
      yield { n: 1, at: '', type: 'state', data: { state: 'received' } }
      throw new DeployError('E_STORE', { why: 'the disk is gone' })
    },
    manifest: () => ({ manifest: '{}', signatures: [] }),
    history: (service, before, limit) => {
      calls.push(['history', service, before, limit])
      return []
    },
    async *logs() {},
    ...overrides,
  }
  const app = makeApp(operations, () => ({ connection: 'one', user: 'deployctl', auth: null }))
  return { app, calls }
}

t.test('what is not a route is refused in our own words', async (t) => {
  const { app } = recorded()
  t.teardown(() => app.close())
  for (const [method, url] of [
    ['GET', '/'],
    ['GET', '/v1/hello/x'],
    ['DELETE', '/v1/services/shop'],
    ['PUT', '/v1/orders'],
  ] as const) {
    const answer = await app.inject({ method, url })
    t.equal(answer.statusCode, 409, `${method} ${url}`)
    t.equal(answer.json().code, 'E_DOCUMENT_INVALID')
  }
})

t.test('a name or digest that could be a path never reaches an operation', async (t) => {
  const { app, calls } = recorded()
  t.teardown(() => app.close())
  for (const url of [
    '/v1/services/..%2fetc/history',
    '/v1/services/Shop/history',
    '/v1/services/shop/history?limit=-1',
    '/v1/services/shop/history?limit=1e9',
    '/v1/services/shop/history?x=1',
  ])
    t.equal((await app.inject(url)).json().code, 'E_DOCUMENT_INVALID', url)
  t.same(calls, [])
})

t.test('history is bounded and its defaults are plain', async (t) => {
  const { app, calls } = recorded()
  t.teardown(() => app.close())
  await app.inject('/v1/services/shop/history?before=7&limit=3')
  await app.inject('/v1/services/shop/history')
  t.same(calls, [
    ['history', 'shop', 7, 3],
    ['history', 'shop', Number.MAX_SAFE_INTEGER, 20],
  ])
})

t.test('a pack is streamed to the store; another content type is refused', async (t) => {
  const { app, calls } = recorded()
  t.teardown(() => app.close())
  const headers = { 'content-type': packType }
  const good = await app.inject({
    method: 'POST',
    url: '/v1/services/shop/releases',
    headers,
    payload: 'frames',
  })
  t.equal(good.statusCode, 200)
  t.same(calls, [['offer', 'shop', 'frames']])
  const bad = await app.inject({ method: 'POST', url: '/v1/services/shop/releases', payload: { a: 1 } })
  t.equal(bad.json().code, 'E_PACK_FORMAT')
})

t.test('an order with an unknown field, or text for a list, is refused before it is looked at', async (t) => {
  let reached = 0
  const { app } = recorded({ order: () => String((reached += 1)) })
  t.teardown(() => app.close())
  const good = { order: '{}', signatures: ['s'.repeat(64)], environment: { name: 'production', env: {} } }
  for (const payload of [
    { ...good, force: true },
    { ...good, signatures: 's'.repeat(64) },
    { ...good, signatures: [] },
    { ...good, order: 'x'.repeat(1024 * 1024 + 1) },
  ]) {
    const answer = await app.inject({ method: 'POST', url: '/v1/orders', payload })
    t.equal(answer.json().code, 'E_DOCUMENT_INVALID')
  }
  t.equal(reached, 0)
})

t.test('a failure in mid-stream is told in-band, as the last line', async (t) => {
  const { app } = recorded()
  t.teardown(() => app.close())
  const answer = await app.inject(`/v1/deployments/${'c'.repeat(32)}/events`)
  const lines = answer.body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(lines[0].type, 'state')
  t.match(lines[1].error, { code: 'E_STORE', message: /the disk is gone/ })
})

t.test('a defect is a 500 with a code, and shows no stack', async (t) => {
  const { app } = recorded({
    services: () => {
      throw new TypeError('x is not a function')
    },
  })
  t.teardown(() => app.close())
  const answer = await app.inject('/v1/services')
  t.equal(answer.statusCode, 500)
  t.equal(answer.json().code, 'E_INTERNAL')
  t.notMatch(answer.body, /at .*\.ts/)
})
