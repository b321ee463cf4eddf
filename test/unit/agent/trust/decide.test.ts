import t from 'tap'
import { Challenges } from '../../../../agent/trust/challenges.ts'
import { acceptOrder } from '../../../../agent/trust/decide.ts'
import type { Order } from '../../../../shared/formats/order.ts'

const digest = 'a'.repeat(64)
const fleet = 'f'.repeat(32)
const challenges = new Challenges()
const challenge = challenges.issue('shop')
const order: Order = {
  spec: 'deployctl/order/v1',
  fleet,
  epoch: 1,
  root: 3,
  opId: 'c'.repeat(32),
  action: 'deploy',
  service: 'shop',
  release: digest,
  environment: { name: 'production', digest },
  strategy: 'auto',
  confirmSeconds: 30,
  notBefore: '2026-01-01T00:00:00.000Z',
  expires: '2026-01-01T00:10:00.000Z',
  reason: '',
  hosts: [{ id: 'web1', seq: 1, prev: null, challenge }],
}
const facts = {
  host: 'web1',
  root: { fleet, epoch: 1, version: 3 },
  now: '2026-01-01T00:05:00.000Z',
  isFresh: challenges.isFresh.bind(challenges),
}

t.test('an order for this host, fleet and moment is accepted', (t) => {
  t.equal(acceptOrder(order, facts).challenge, challenge)
  t.end()
})

t.test('another fleet, an older epoch, or another host is refused', (t) => {
  t.throws(() => acceptOrder({ ...order, fleet: 'e'.repeat(32) }, facts), { code: 'E_WRONG_FLEET' })
  t.throws(() => acceptOrder(order, { ...facts, root: { ...facts.root, epoch: 2 } }), {
    code: 'E_WRONG_FLEET',
  })
  for (const version of [2, 4])
    t.throws(() => acceptOrder(order, { ...facts, root: { ...facts.root, version } }), {
      code: 'E_ROOT_VERSION',
    })
  t.throws(() => acceptOrder(order, { ...facts, host: 'web2' }), { code: 'E_WRONG_HOST' })
  t.end()
})

t.test('an order that names this host twice is refused', (t) => {
  const twice = { ...order, hosts: [...order.hosts, ...order.hosts] }
  t.throws(() => acceptOrder(twice, facts), { code: 'E_WRONG_HOST' })
  t.end()
})

t.test('an order is good for its time only, with a minute for clocks that differ', (t) => {
  t.ok(acceptOrder(order, { ...facts, now: '2026-01-01T00:10:59.000Z' }))
  t.ok(acceptOrder(order, { ...facts, now: '2025-12-31T23:59:01.000Z' }))
  t.throws(() => acceptOrder(order, { ...facts, now: '2026-01-01T00:11:01.000Z' }), {
    code: 'E_ORDER_EXPIRED',
  })
  t.throws(() => acceptOrder(order, { ...facts, now: '2025-12-31T23:58:59.000Z' }), {
    code: 'E_ORDER_EXPIRED',
  })
  t.end()
})

t.test('a challenge is good once, and for its own service', (t) => {
  t.throws(() => acceptOrder({ ...order, service: 'blog' }, facts), { code: 'E_ORDER_CHALLENGE' })
  challenges.consume('shop')
  t.throws(() => acceptOrder(order, facts), { code: 'E_ORDER_CHALLENGE' })
  t.end()
})

t.test('asking for many challenges pushes out the oldest and stays bounded', (t) => {
  const many = new Challenges()
  const first = many.issue('shop')
  const later = Array.from({ length: 32 }, () => many.issue('shop'))
  t.notOk(many.isFresh('shop', first))
  t.ok(later.every((one) => many.isFresh('shop', one)))
  t.end()
})
