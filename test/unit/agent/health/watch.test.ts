import t from 'tap'
import { judgeHealth, type Observation, type Verdict } from '../../../../agent/health/watch.decide.ts'

const limits = { deadlineMs: 5000, minHealthyMs: 1000 }
const good = { ok: true, detail: 'http /: 200', body: '', ms: 1 }
const bad = { ok: false, detail: 'http /: 500', body: 'no database', ms: 1 }

/** The verdict after these observations, as the watch goes on from one to the next. */
function watch(...seen: Observation[]): Verdict {
  let verdict: Verdict = { verdict: 'wait', watch: { goodSinceMs: null } }
  for (const one of seen) if (verdict.verdict === 'wait') verdict = judgeHealth(verdict.watch, one, limits)
  return verdict
}
const at = (atMs: number, answer = good, ended: string | null = null): Observation => ({
  atMs,
  ended,
  answers: [answer],
})

t.test('healthy is good for the minimum time in one piece', (t) => {
  t.equal(watch(at(0), at(999)).verdict, 'wait')
  t.equal(watch(at(0), at(1000)).verdict, 'healthy')
  t.equal(watch(at(0), at(600, bad), at(700), at(1600)).verdict, 'wait', 'it starts again')
  t.equal(watch(at(0), at(600, bad), at(700), at(1700)).verdict, 'healthy')
  t.end()
})

t.test('who is late fails with the last answer, but may finish what began in time', (t) => {
  t.match(watch(at(0, bad), at(5000, bad)), { verdict: 'failed', why: 'http /: 500, 5 s after its start' })
  t.equal(watch(at(4900), at(5500)).verdict, 'wait')
  t.equal(watch(at(4900), at(5900)).verdict, 'healthy')
  t.match(watch(at(4900), at(5500, bad)), { verdict: 'failed' })
  t.end()
})

t.test('a service that ends has failed at once; one without probes only has to run', (t) => {
  t.match(watch(at(0), at(10, good, 'exit 3')), { verdict: 'failed', why: 'it ended (exit 3)' })
  const silent = (atMs: number): Observation => ({ atMs, ended: null, answers: [] })
  t.equal(watch(silent(0), silent(1000)).verdict, 'healthy')
  t.end()
})
