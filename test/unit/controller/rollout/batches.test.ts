import t from 'tap'
import fc from 'fast-check'
import { planBatches, type Candidate } from '../../../../controller/rollout/batches.decide.ts'

const named = (...names: string[]): Candidate[] =>
  names.map((name) => ({ name, labels: { zone: name.startsWith('e') ? 'eu' : 'us' } }))
const rule = { canary: null, size: null, oneAtATime: [] } as const

t.test('without a rule all hosts are one batch', async (t) => {
  t.strictSame(planBatches(named('a', 'b'), rule), { batches: [['a', 'b']], canary: false })
})

t.test('canaries by number and by name, batches by number and by share', async (t) => {
  const hosts = named('a', 'b', 'c', 'd', 'e')
  t.strictSame(planBatches(hosts, { ...rule, canary: 1, size: 2 }).batches, [['a'], ['b', 'c'], ['d', 'e']])
  t.strictSame(planBatches(hosts, { ...rule, canary: ['d'] }), {
    batches: [['d'], ['a', 'b', 'c', 'e']],
    canary: true,
  })
  t.strictSame(planBatches(hosts, { ...rule, size: '40%' }).batches, [['a', 'b'], ['c', 'd'], ['e']])
  t.strictSame(planBatches(hosts, { ...rule, size: '1%' }).batches.length, 5, 'never less than one')
})

t.test('a canary of a fleet that has no others is none', async (t) => {
  t.strictSame(planBatches(named('a'), { ...rule, canary: 1 }), { batches: [['a']], canary: false })
})

t.test('one zone after the other', async (t) => {
  const hosts = named('e1', 'u1', 'e2', 'u2', 'e3')
  t.strictSame(planBatches(hosts, { ...rule, size: 2, oneAtATime: ['zone'] }).batches, [
    ['e1', 'e2'],
    ['e3'],
    ['u1', 'u2'],
  ])
})

t.test('everybody has one turn, whatever the rule', async () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[eu][0-9]{1,2}$/), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(
      names,
      fc.option(fc.integer({ min: 1, max: 5 })),
      fc.option(fc.integer({ min: 1, max: 9 })),
      fc.boolean(),
      (all, canary, size, zones) => {
        const { batches } = planBatches(named(...all), { canary, size, oneAtATime: zones ? ['zone'] : [] })
        if (batches.some((batch) => batch.length === 0)) throw new Error('an empty batch')
        const flat = batches.flat()
        if (flat.length !== all.length || new Set(flat).size !== all.length)
          throw new Error('not everybody once')
      },
    ),
  )
})
