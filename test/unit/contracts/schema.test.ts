import t from 'tap'
import { parserOf } from '../../../shared/schema.ts'
import { Order } from '../../../shared/formats/order.ts'
import { ProbeSpec, RunSpec } from '../../../shared/formats/service-spec.ts'

t.test('an unknown key is refused and never dropped in silence', (t) => {
  const parser = parserOf(RunSpec)
  t.ok(parser.check({ argv: ['node', 'server.js'] }))
  t.notOk(parser.check({ argv: ['node'], shell: true }))
  t.match(parser.issues({ argv: ['node'], shell: true })[0], { keyword: 'additionalProperties' })
  t.end()
})

t.test('nothing is coerced: a number as text is not a number', (t) => {
  t.notOk(parserOf(ProbeSpec).check({ type: 'tcp', port: '80' }))
  t.ok(parserOf(ProbeSpec).check({ type: 'tcp', port: 80 }))
  t.end()
})

t.test('an order without hosts, or with an unsafe integer, is not an order', (t) => {
  const digest = 'a'.repeat(64)
  const order = {
    spec: 'deployctl/order/v1',
    fleet: 'b'.repeat(32),
    epoch: 1,
    root: 1,
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
    hosts: [{ id: 'web1', seq: 1, prev: null, challenge: digest }],
  }
  const parser = parserOf(Order)
  t.ok(parser.check(order))
  t.notOk(parser.check({ ...order, hosts: [] }))
  t.notOk(parser.check({ ...order, epoch: 2 ** 53 }))
  t.notOk(parser.check({ ...order, service: '../etc' }))
  t.end()
})
