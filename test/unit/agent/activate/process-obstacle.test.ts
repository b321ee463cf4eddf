import t from 'tap'
import { obstacleInProcess } from '../../../../agent/activate/process-obstacle.decide.ts'
import type { HotStatus } from '../../../../shared/wire/control.ts'

const well: HotStatus = {
  release: 'r1',
  generation: 3,
  modules: 5,
  unconfirmed: false,
  boundaries: [{ path: 'app.js', version: 1 }],
  roots: ['/r1'],
  pinned: [],
  heap: { used: 10, limit: 100 },
}
const pinned = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ release: `r${n}`, modules: 1, paths: ['timers.js'] }))

t.test('a running program takes a release in when it is what we think, and holds not too much', (t) => {
  t.equal(obstacleInProcess(well, 'r1'), null)
  t.equal(obstacleInProcess({ ...well, pinned: pinned(10) }, 'r1'), null)
  t.match(obstacleInProcess(null, 'r1'), { why: /cannot exchange its code/, isCurable: false })
  t.match(obstacleInProcess(well, 'r2'), { why: /runs another release/, isCurable: false })
  t.match(obstacleInProcess({ ...well, unconfirmed: true }, 'r1'), { why: /never confirmed/ })
  t.match(obstacleInProcess({ ...well, pinned: pinned(11) }, 'r1'), {
    why: /hold the code of 11 former releases \(timers\.js\)/,
    isCurable: true,
  })
  t.match(obstacleInProcess({ ...well, heap: { used: 90, limit: 100 } }, 'r1'), {
    why: /90 % of its heap/,
    isCurable: true,
  })
  t.end()
})
