import fc from 'fast-check'
import t from 'tap'
import { comingOf, readiness, type DueOptions } from '../../../../controller/schedule/due.decide.ts'

const minute = 60_000
const hour = 60 * minute
const base: DueOptions = {
  now: 100 * hour,
  lateMs: hour,
  jitterMs: 0,
  isBusy: false,
  chance: () => 0.5,
}

t.test('what has come runs; of several only the newest', (t) => {
  t.strictSame(comingOf([98 * hour, 99 * hour, 100 * hour], base), [
    { slot: 98 * hour, state: 'missed', why: 'the one after it was due as well' },
    { slot: 99 * hour, state: 'missed', why: 'the one after it was due as well' },
    { slot: 100 * hour, state: 'waiting', begins: 100 * hour },
  ])
  t.end()
})

t.test('late is made up for as long as the schedule says', (t) => {
  const slot = 99 * hour
  t.match(comingOf([slot], base), [{ state: 'waiting' }])
  t.match(comingOf([slot - 1], base), [{ state: 'missed', why: 'nobody was there to begin it' }])
  t.match(comingOf([100 * hour - minute], { ...base, lateMs: 0 }), [{ state: 'waiting' }])
  t.match(comingOf([100 * hour - minute - 1], { ...base, lateMs: 0 }), [{ state: 'missed' }])
  t.end()
})

t.test('no two runs at once, some later', (t) => {
  t.match(comingOf([base.now], { ...base, isBusy: true }), [{ state: 'skipped', why: /still under way/ }])
  t.match(comingOf([base.now], { ...base, jitterMs: minute }), [{ begins: base.now + minute / 2 }])
  t.end()
})

t.test('a run waits for its jitter and for a window, and not for ever', (t) => {
  const run = { begins: 10 * hour + minute }
  const ready = (now: number, closed: string | null) => readiness(run, { now, lateMs: hour, closed })
  t.equal(ready(10 * hour, null), 'wait')
  t.equal(ready(10 * hour + minute, null), 'begin')
  t.equal(ready(10 * hour + minute, 'frozen'), 'wait')
  t.strictSame(ready(11 * hour + minute + 1, 'frozen'), { missed: 'frozen' })
  t.end()
})

t.test('whatever comes, each slot becomes exactly one thing, and at most one of them runs', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 200 * hour }), { maxLength: 30 }),
      fc.record({
        now: fc.integer({ min: 0, max: 200 * hour }),
        lateMs: fc.integer({ min: 0, max: 10 * hour }),
        jitterMs: fc.integer({ min: 0, max: hour }),
        isBusy: fc.boolean(),
      }),
      (all, options) => {
        const slots = all.filter((slot) => slot <= options.now).toSorted((a, b) => a - b)
        const coming = comingOf(slots, { ...options, chance: () => 0.3 })
        const runs = coming.filter(({ state }) => state === 'waiting')
        return coming.length === slots.length && runs.length <= 1 && (!options.isBusy || runs.length === 0)
      },
    ),
  )
  t.end()
})
