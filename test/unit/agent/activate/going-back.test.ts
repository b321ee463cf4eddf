import t from 'tap'
import { whereToGoBack } from '../../../../agent/activate/going-back.decide.ts'
import type { InstanceSpec, InstanceStatus } from '../../../../agent/manager/manager.ts'

const before = { slot: 'a', release: 'old' } as InstanceSpec
const instance = (slot: 'a' | 'b', release: string, state: InstanceStatus['state']) =>
  ({ slot, release, state }) as InstanceStatus

t.test('where the release of before is to run again', (t) => {
  const cases: [what: string, instances: InstanceStatus[], slot: 'a' | 'b', untouched: boolean][] = [
    ['it never stopped', [instance('a', 'old', 'running'), instance('b', 'new', 'running')], 'a', true],
    ['it still drains', [instance('a', 'old', 'stopping'), instance('b', 'new', 'backoff')], 'b', false],
    ['it has ended', [instance('b', 'new', 'running')], 'a', false],
    ['it crashes', [instance('a', 'old', 'backoff')], 'a', false],
    ['another release has its slot', [instance('a', 'new', 'running')], 'a', false],
    ['nothing runs', [], 'a', false],
  ]
  for (const [what, instances, slot, untouched] of cases)
    t.same(whereToGoBack(before, instances), { slot, untouched }, what)
  t.end()
})
