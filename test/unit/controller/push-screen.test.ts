import t from 'tap'
import { cutText } from '../../../controller/cli/push-screen.ts'

t.test('what a handover cut off is said, and nothing when all came to its end', (t) => {
  const ms = 5_000
  const cut = { requests: 1, connections: 2 }
  t.equal(cutText(null), '')
  t.equal(cutText({ ms, killed: false, cut: { requests: 0, connections: 0 } }), '')
  t.equal(cutText({ ms, killed: false, cut: null }), '')
  t.match(
    cutText({ ms, killed: false, cut }),
    /end of its time, 5s; cut off: 1 request and 2 long connections$/,
  )
  t.match(cutText({ ms, killed: true, cut: null }), /was killed after 5s; cut off: what it still had to do$/)
  t.match(
    cutText({ ms, killed: true, cut: { requests: 0, connections: 0 } }),
    /killed after 5s; cut off: nothing$/,
  )
  t.end()
})
