import t from 'tap'
import fc from 'fast-check'
import {
  isEnding,
  received,
  recover,
  transition,
  type Deployment,
  type Event,
  type State,
} from '../../../../agent/activate/machine.ts'

const failed: Event = { type: 'failed', failure: { code: 'E_X', message: 'x' } }
const goodWay: Event[] = [
  { type: 'begin' },
  { type: 'staged' },
  { type: 'checked' },
  { type: 'switch' },
  { type: 'switched' },
  { type: 'healthy', confirmBy: 5_000 },
  { type: 'confirmed' },
  { type: 'drained' },
]

function after(events: readonly Event[], from: Deployment = received): Deployment {
  return events.reduce((deployment, event) => transition(deployment, event)?.next ?? deployment, from)
}

t.test('a good deployment goes through every state and commits', (t) => {
  const states = goodWay.map((_, index) => after(goodWay.slice(0, index + 1)).state)
  t.same(states, [
    'staging',
    'staged',
    'checked',
    'switching',
    'switched',
    'probation',
    'draining',
    'committed',
  ])
  t.end()
})

t.test('a failure before the switch changes nothing; one after it goes back', (t) => {
  for (const [index] of goodWay.entries()) {
    const before = after(goodWay.slice(0, index))
    const step = transition(before, failed)
    t.equal(step?.next.state, index <= 3 ? 'aborted' : 'rolling-back', before.state)
    t.equal(step?.effect, index <= 3 ? 'conclude' : 'roll-back')
  }
  t.end()
})

t.test('a rollback that fails twice is called inconsistent, and the last failure is told', (t) => {
  const undoing = after([...goodWay.slice(0, 5), failed])
  t.equal(after([failed], undoing).state, 'rolling-back')
  const worse: Event = { type: 'failed', failure: { code: 'E_WORSE', message: 'worse' } }
  const end = after([failed, worse], undoing)
  t.match(end, { state: 'inconsistent', failure: { code: 'E_WORSE' } })
  t.match(after([{ type: 'rolled-back' }], undoing), { state: 'rolled-back', failure: { code: 'E_X' } })
  t.end()
})

t.test('a confirm that comes too late or too early is dropped', (t) => {
  t.equal(transition(after(goodWay.slice(0, 5)), { type: 'confirmed' }), null)
  t.equal(transition(after([...goodWay.slice(0, 6), failed]), { type: 'confirmed' }), null)
  t.end()
})

t.test('an agent that starts finishes or undoes what it finds, by the state', (t) => {
  const inTime = { sameBoot: true, newReleaseRuns: true, monotonicMs: 4_999 }
  const expected: [number, State][] = [
    [0, 'aborted'],
    [1, 'aborted'],
    [2, 'aborted'],
    [3, 'aborted'],
    [4, 'rolling-back'],
    [5, 'rolling-back'],
    [6, 'probation'],
    [7, 'draining'],
  ]
  for (const [steps, state] of expected)
    t.equal(recover(after(goodWay.slice(0, steps)), inTime)?.next.state, state)
  const probation = after(goodWay.slice(0, 6))
  for (const change of [{ sameBoot: false }, { newReleaseRuns: false }, { monotonicMs: 5_000 }])
    t.match(recover(probation, { ...inTime, ...change }), {
      effect: 'roll-back',
      next: { failure: { code: 'E_INTERRUPTED' } },
    })
  const draining = after(goodWay.slice(0, 7))
  t.match(recover(draining, { ...inTime, monotonicMs: 9_999 }), { effect: 'drain' }, 'confirmed is confirmed')
  t.match(recover(draining, { ...inTime, newReleaseRuns: false }), { effect: 'roll-back' })
  t.equal(recover(after(goodWay), inTime), null)
  t.end()
})

t.test('whatever happens, crashes included, it ends, and never half', (t) => {
  const crash = 'crash' as const
  const event = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...goodWay) },
    { weight: 2, arbitrary: fc.constant(failed) },
    { weight: 1, arbitrary: fc.constant<Event>({ type: 'rolled-back' }) },
    { weight: 1, arbitrary: fc.constant(crash) },
  )
  const found = fc.record({
    sameBoot: fc.boolean(),
    newReleaseRuns: fc.boolean(),
    monotonicMs: fc.nat({ max: 10_000 }),
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(event, found), { maxLength: 40 }), (events) => {
      let deployment = received
      const visited: State[] = [deployment.state]
      for (const [one, facts] of events) {
        const step = one === crash ? recover(deployment, facts) : transition(deployment, one)
        if (!step) continue
        deployment = step.next
        visited.push(deployment.state)
      }
      const switchedOver = visited.includes('switching')
      if (deployment.state === 'aborted' && switchedOver) throw new Error('aborted after the switch')
      if (deployment.state === 'committed' && !visited.includes('probation'))
        throw new Error('committed without probation')
      if (deployment.state === 'rolled-back' && !switchedOver) throw new Error('rolled back from nothing')
      // From anywhere, failing on and on comes to an end within three steps.
      const end = after([failed, failed, failed], deployment)
      if (!isEnding(end.state)) throw new Error(`stuck in ${end.state}`)
      if (deployment.rollbacks > 2) throw new Error('rolled back too often')
    }),
    { numRuns: 5_000 },
  )
  t.pass('5,000 random lives')
  t.end()
})
