import t from 'tap'
import { compare, ownProblem } from '../../../../controller/rollout/compare.decide.ts'
import type { Sample } from '../../../../shared/wire/api.ts'

const release = 'a'.repeat(64)
const sample = (own: Partial<Sample> = {}): Sample => ({
  active: release,
  isRunning: true,
  restarts: 0,
  probes: [{ ok: true, ms: 4, detail: '' }],
  metrics: null,
  problem: null,
  ...own,
})
const counted = (requests: number, errors: number, slow = 0) =>
  sample({
    metrics: {
      requests,
      errors,
      latency: [
        [0.01, requests - slow],
        [0.1, requests],
        [null, requests],
      ],
    },
  })
const verdicts = (...lines: ReturnType<typeof compare>) =>
  lines.filter(({ isWorse }) => isWorse).map(({ what }) => what)

t.test('the same is not worse', async (t) => {
  const one = [counted(0, 0), counted(1000, 3)]
  const lines = compare([one], [one, one])
  t.strictSame(verdicts(...lines), [])
  t.match(lines[2], { canary: 0.003, others: 0.003 })
})

t.test('more errors, slower answers, slower and failing probes are each found', async (t) => {
  const good = [counted(0, 0), counted(500, 0), counted(1000, 0)]
  t.strictSame(verdicts(...compare([[counted(0, 0), counted(1000, 40)]], [good])), ['requests that fail'])
  t.strictSame(verdicts(...compare([[counted(0, 0), counted(1000, 0, 200)]], [good])), [
    'time of a request, 95 of 100',
  ])
  const probed = (ms: number, ok = true) =>
    Array.from({ length: 4 }, () => sample({ probes: [{ ok, ms, detail: 'no' }] }))
  t.strictSame(verdicts(...compare([probed(90)], [probed(4)])), ['time of a probe, median'])
  t.strictSame(verdicts(...compare([probed(4, false)], [probed(4)])), ['probes that fail'])
})

t.test('too little to go by is no verdict', async (t) => {
  const lines = compare([[counted(0, 0), counted(10, 10)]], [[counted(0, 0), counted(10, 0)]])
  t.strictSame(verdicts(...lines), [])
  t.equal(lines[2]?.canary, null)
  t.equal(compare([], [])[0]?.limit, null)
})

t.test('a program that was started anew counts from zero', async (t) => {
  const [, , errors] = compare([[counted(900, 0), counted(100, 5), counted(200, 5)]], [])
  t.equal(errors?.canary, 5 / 200)
})

t.test('what is wrong with a host by itself', async (t) => {
  t.equal(ownProblem('w', [sample()], release), null)
  t.equal(ownProblem('w', [], release), null)
  t.match(ownProblem('w', [sample({ active: 'b'.repeat(64) })], release), /does not run it any more/)
  t.match(ownProblem('w', [sample({ isRunning: false })], release), /does not run/)
  t.match(ownProblem('w', [sample({ restarts: 2 })], release), /again 2 times/)
  const sick = sample({ probes: [{ ok: false, ms: 1, detail: 'http /: 500' }] })
  t.equal(ownProblem('w', [sample(), sick], release), null, 'once may be chance')
  t.match(ownProblem('w', [sick, sick], release), /http \/: 500/)
})
