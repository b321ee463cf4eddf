import t from 'tap'
import { outcomeOf, type HostOutcome } from '../../../../controller/push/outcome.decide.ts'

const hosts = (...results: HostOutcome['result'][]) =>
  results.map((result, index) => ({ host: `web${index + 1}`, result }))

t.test('a push is done when each host runs the release, newly or already', (t) => {
  t.equal(outcomeOf(hosts('committed', 'unchanged'), 'abc'), null)
  t.end()
})

t.test('each kind of bad end has its own exit code, and the worst news wins', (t) => {
  const cases: [HostOutcome['result'][], string, number][] = [
    [['aborted', 'aborted'], 'E_ABORTED', 7],
    [['rolled-back', 'aborted'], 'E_ROLLED_BACK', 8],
    [['committed', 'rolled-back'], 'E_PARTIAL', 9],
    [['committed', 'aborted'], 'E_PARTIAL', 9],
    [['committed', 'unknown'], 'E_CONNECTION_LOST', 11],
    [['committed', 'rolled-back', 'unknown', 'inconsistent'], 'E_INCONSISTENT', 10],
  ]
  for (const [results, code, exitCode] of cases)
    t.match(outcomeOf(hosts(...results), 'abc'), { code, exitCode }, results.join(', '))
  t.end()
})

t.test('the message names the hosts that need a look', (t) => {
  t.match(outcomeOf(hosts('committed', 'inconsistent'), 'abc')?.message, /^web2:/)
  t.match(outcomeOf(hosts('committed', 'rolled-back'), 'abc')?.message, /1 of 2 .* web2/)
  t.end()
})
