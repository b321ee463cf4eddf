import fc from 'fast-check'
import t from 'tap'
import {
  apply,
  isEnding,
  planned,
  revertable,
  startable,
  working,
  type Event,
  type HostResult,
  type Rollout,
  type Undo,
} from '../../../../controller/rollout/machine.ts'
import type { RolloutPlan, RolloutPolicy } from '../../../../shared/formats/rollout.ts'

const policy: RolloutPolicy = {
  parallel: 2,
  bakeSeconds: { canary: 10, batch: 0 },
  promote: 'auto',
  maxFailures: { batch: 0, total: 0 },
  onFailure: 'stop',
  progressSeconds: 60,
}
const planOf = (batches: string[][], own: Partial<RolloutPolicy> = {}, canary = true): RolloutPlan => ({
  id: 'a'.repeat(32),
  began: '2026-01-01T00:00:00.000Z',
  batches,
  canary,
  policy: { ...policy, ...own },
})
const after = (rollout: Rollout, ...events: Event[]) => events.reduce(apply, rollout)
const start = (host: string): Event => ({ type: 'starting', host })
const end = (host: string, result: HostResult = 'committed'): Event => ({ type: 'ended', host, result })
const begin: Event = { type: 'begin' }
const baked = (problem: string | null = null): Event => ({ type: 'baked', problem })

t.test('canary, bake, batches, done', async (t) => {
  let one = after(planned(planOf([['a'], ['b', 'c', 'd']])), begin)
  t.match(one, { state: 'canary', batch: 0 })
  t.strictSame(startable(one), ['a'])
  one = after(one, start('a'))
  t.strictSame(startable(one), [], 'the next batch waits')
  one = after(one, end('a'))
  t.equal(one.state, 'baking')
  one = after(one, baked())
  t.match(one, { state: 'batch', batch: 1 })
  t.strictSame(startable(one), ['b', 'c'], 'no more at once than may be')
  one = after(one, start('b'), start('c'), start('d'))
  t.equal(one.hosts['d'], 'waiting')
  one = after(one, end('b'), start('d'), end('c'), end('d', 'unchanged'))
  t.equal(one.state, 'done')
})

t.test('a canary that does worse than the others stops the rollout before the next batch', async (t) => {
  const bad = baked('errors: 4 % against 0.1 %')
  const run = (own: Partial<RolloutPolicy>) =>
    after(planned(planOf([['a'], ['b']], own)), begin, start('a'), end('a'), bad)
  t.match(run({}), { state: 'partial', hosts: { a: 'committed', b: 'left' }, why: /errors/ })
  const back = run({ onFailure: 'roll-back-all' })
  t.equal(back.state, 'rolling-back')
  t.strictSame(revertable(back), ['a'])
  const over = after(back, { type: 'reverting', host: 'a' }, { type: 'reverted', host: 'a', ok: true })
  t.match(over, { state: 'rolled-back', hosts: { a: 'reverted', b: 'left' } })
})

t.test('a manual promotion is waited for', async (t) => {
  const waits = after(
    planned(planOf([['a'], ['b']], { promote: 'manual' })),
    begin,
    start('a'),
    end('a'),
    baked(),
  )
  t.match(waits, { state: 'paused', why: /promoted/ })
  t.match(after(waits, { type: 'resume' }), { state: 'batch', batch: 1, why: null })
})

t.test("what happens when too many fail is the policy's word", async (t) => {
  const run = (own: Partial<RolloutPolicy>) =>
    after(
      planned(planOf([['a'], ['b', 'c'], ['d']], { bakeSeconds: { canary: 0, batch: 0 }, ...own }, false)),
      begin,
      start('a'),
      end('a'),
      start('b'),
      start('c'),
      end('b'),
      end('c', 'rolled-back'),
    )
  t.match(run({}), {
    state: 'partial',
    hosts: { a: 'committed', b: 'committed', c: 'rolled-back', d: 'left' },
  })
  t.strictSame(revertable(run({ onFailure: 'roll-back-batch' })), ['b'])
  t.strictSame(revertable(run({ onFailure: 'roll-back-all' })), ['a', 'b'])
  t.match(
    run({ maxFailures: { batch: 1, total: 1 } }),
    { state: 'batch', batch: 2 },
    'within the limits it goes on',
  )
})

t.test('pause lets hosts at work end; resume goes on; retry gives another turn', async (t) => {
  let one = after(planned(planOf([['a', 'b', 'c']], {}, false)), begin, start('a'), {
    type: 'pause',
    why: 'lunch',
  })
  t.equal(one.state, 'batch', 'a is still at work')
  t.strictSame(startable(one), [])
  one = after(one, end('a'))
  t.match(one, { state: 'paused', why: 'lunch' })
  one = after(one, { type: 'resume' }, start('b'), end('b', 'aborted'))
  t.match(one, { state: 'partial', hosts: { a: 'committed', b: 'aborted', c: 'left' } })
  one = after(one, { type: 'retry' })
  t.match(one, { state: 'batch', hosts: { a: 'committed', b: 'waiting', c: 'waiting' } })
  one = after(one, start('b'), start('c'), end('b'), end('c'))
  t.equal(one.state, 'done')
})

t.test('abort in mid-batch takes back what had switched, also what was at work', async (t) => {
  let one = after(
    planned(planOf([['a'], ['b', 'c']], { bakeSeconds: { canary: 0, batch: 0 } })),
    begin,
    start('a'),
    end('a'),
    start('b'),
  )
  one = after(one, { type: 'abort', undo: 'all', why: 'wrong' })
  t.equal(one.state, 'batch')
  one = after(one, end('b'))
  t.strictSame(revertable(one), ['a', 'b'])
  t.match(after(planned(planOf([['a']])), { type: 'abort', undo: 'all', why: '' }), {
    state: 'failed',
    hosts: { a: 'left' },
  })
})

const results: HostResult[] = [
  'committed',
  'committed',
  'committed',
  'unchanged',
  'aborted',
  'rolled-back',
  'unknown',
  'inconsistent',
]
const undos: Undo[] = ['nothing', 'batch', 'all']
const fleet = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
  canary: fc.boolean(),
  policy: fc.record({
    parallel: fc.integer({ min: 1, max: 4 }),
    bakeSeconds: fc.record({ canary: fc.constantFrom(0, 5), batch: fc.constantFrom(0, 5) }),
    promote: fc.constantFrom('auto' as const, 'manual' as const),
    maxFailures: fc.record({ batch: fc.nat(2), total: fc.nat(4) }),
    onFailure: fc.constantFrom('stop' as const, 'roll-back-batch' as const, 'roll-back-all' as const),
    progressSeconds: fc.constant(60),
  }),
})
/** What chance does next: a host begins or ends, a bake ends, or somebody commands. */
const move = fc.record({
  kind: fc.nat(19),
  pick: fc.nat(1000),
  result: fc.constantFrom(...results),
  undo: fc.constantFrom(...undos),
  ok: fc.boolean(),
})
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never

function eventOf(one: Rollout, { kind, pick, result, undo, ok }: Move, mayCommand: boolean): Event | null {
  const at = (state: string) => Object.keys(one.hosts).filter((host) => one.hosts[host] === state)
  const choose = (names: readonly string[]) => names[pick % Math.max(1, names.length)]
  if (one.state === 'planned') return begin
  if (mayCommand && kind === 0) return { type: 'pause', why: 'asked' }
  if (mayCommand && kind === 1) return { type: 'abort', undo, why: 'asked' }
  if (mayCommand && kind === 2) return { type: 'retry' }
  if (mayCommand && kind === 3) {
    const host = choose(at('deploying'))
    return host === undefined ? null : { type: 'not-begun', host }
  }
  if (one.state === 'paused') return { type: 'resume' }
  if (one.state === 'baking') return baked(result === 'aborted' ? 'worse' : null)
  const reverting = choose(at('reverting'))
  const revertible = choose(revertable(one))
  const deploying = choose(at('deploying'))
  const free = choose(startable(one))
  if (free !== undefined && (kind % 2 === 0 || deploying === undefined)) return start(free)
  if (deploying !== undefined) return end(deploying, result)
  if (revertible !== undefined && (kind % 2 === 0 || reverting === undefined))
    return { type: 'reverting', host: revertible }
  return reverting === undefined ? null : { type: 'reverted', host: reverting, ok }
}

t.test('of any fleet, failures and commands: limits hold, nobody is forgotten, it ends', async (t) => {
  const seen = new Set<string>()
  let steps = 0
  fc.assert(
    fc.property(
      fleet,
      fc.array(move, { minLength: 5, maxLength: 60 }),
      fc.infiniteStream(move),
      ({ sizes, canary, policy: own }, moves, later) => {
        const batches = sizes.map((size, batch) => Array.from({ length: size }, (_, n) => `h${batch}-${n}`))
        const all = batches.flat()
        let one = planned(planOf(batches, own, canary && batches.length > 1))
        const step = (event: Event) => {
          const before = one
          one = apply(JSON.parse(JSON.stringify(one)) as Rollout, event)
          steps += 1
          seen.add(one.state)
          check(before, event)
        }
        const check = (before: Rollout, event: Event) => {
          const failed = (names: readonly string[]) =>
            names.filter((host) =>
              ['aborted', 'rolled-back', 'inconsistent', 'unknown'].includes(one.hosts[host] ?? ''),
            ).length
          const { parallel, maxFailures } = own
          const fail = (what: string): never => {
            throw new Error(`${what} after ${JSON.stringify(event)} in ${before.state}`)
          }
          if (Object.keys(one.hosts).length !== all.length) fail('a host is missing')
          if (working(one) > parallel) fail('too many at work')
          if (event.type === 'starting' && failed(batches[one.batch] ?? []) > maxFailures.batch)
            fail('begun beyond the limit of the batch')
          if (failed(batches[one.batch] ?? []) > maxFailures.batch + parallel)
            fail('too many failed in a batch')
          if (failed(all) > maxFailures.total + parallel) fail('too many failed')
          if (
            event.type === 'starting' &&
            !(batches[one.batch] ?? []).includes(event.host) &&
            one.hosts[event.host] === 'deploying'
          )
            fail('begun before its turn')
          if (
            before.batch !== one.batch &&
            event.type !== 'retry' &&
            (batches[before.batch] ?? []).some(
              (host) => one.hosts[host] === 'deploying' || one.hosts[host] === 'waiting',
            )
          )
            fail('a batch was left behind')
          if (event.type === 'reverting' && before.hosts[event.host] !== 'committed')
            fail('took back what it had not done')
          if (
            isEnding(one.state) &&
            Object.values(one.hosts).some((at) => ['waiting', 'deploying', 'reverting'].includes(at))
          )
            fail('not accounted for')
          if (one.state === 'done' && failed(all) > 0) fail('called done')
          if (one.state === 'failed' && Object.values(one.hosts).includes('committed'))
            fail('called failed where something runs')
        }
        for (const one_ of moves) {
          const event = eventOf(one, one_, true)
          if (event) step(event)
        }
        // Nobody commands any more: each host begins and ends at most once more, and so does each bake.
        const bound = 6 * all.length + 4 * batches.length + 10
        let taken = 0
        for (const each of later) {
          if (isEnding(one.state)) break
          if (taken++ > bound) throw new Error(`it does not end: ${JSON.stringify(one)}`)
          const event = eventOf(one, each, false)
          if (event === null) throw new Error(`nothing can happen any more: ${JSON.stringify(one)}`)
          step(event)
        }
      },
    ),
    { numRuns: 5000 },
  )
  t.ok(steps > 50_000, `${steps} steps`)
  t.strictSame([...seen].sort(), [
    'baking',
    'batch',
    'canary',
    'done',
    'failed',
    'partial',
    'paused',
    'rolled-back',
    'rolling-back',
  ])
})
