import t from 'tap'
import Database from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { received, type Deployment } from '../../../../agent/activate/machine.ts'
import { Journal } from '../../../../agent/journal/journal.ts'
import type { Begin } from '../../../../agent/journal/rows.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-journal-'))
t.teardown(() => rmSync(dir, { recursive: true }))
let files = 0
const freshFile = () => join(dir, `${(files += 1)}.sqlite`)

const release = 'a'.repeat(64)
const order = (number: number, change: Partial<Begin> = {}): Begin => ({
  opId: String(number).padStart(32, '0'),
  service: 'shop',
  seq: number,
  action: 'deploy',
  release,
  prev: null,
  began: '2026-01-01T00:00:00.000Z',
  bootId: 'boot',
  who: 'ann',
  fingerprint: 'SHA256:x',
  environment: { name: 'production', env: {} },
  slot: 'a',
  approvals: [],
  order: Buffer.from('{}'),
  login: null,
  signatures: ['s'],
  ...change,
})
const ended = (state: 'committed' | 'aborted') =>
  ({ ...received, state }) as Deployment & { state: typeof state }
const receipt = (number: number) => ({ number, bytes: Buffer.from('r'), signature: 's', digest: `${number}` })
const end = '2026-01-01T00:00:09.000Z'

t.test('an order is accepted once, in its turn, and only for what runs', async (t) => {
  using journal = new Journal(freshFile())
  t.throws(() => journal.begin(order(2)), { code: 'E_ORDER_SEQ' })
  const first = order(1)
  journal.begin(first)
  t.throws(() => journal.begin(order(2)), { code: 'E_BUSY', message: /received/ })
  journal.end(first.opId, ended('committed'), end, receipt(1))
  t.throws(() => journal.begin(first), { code: 'E_ORDER_REPLAYED' })
  t.throws(() => journal.begin(order(1, { opId: 'f'.repeat(32) })), {
    code: 'E_ORDER_SEQ',
    message: /ann's, at 2026/,
  })
  t.throws(() => journal.begin(order(2)), { code: 'E_ORDER_PREV' })
  t.match(journal.service('shop'), { seq: 1, active: release, previous: null })
  t.equal(journal.begin(order(2, { prev: release })).life.state, 'received')
})

t.test('what was refused leaves no trace', async (t) => {
  using journal = new Journal(freshFile())
  t.throws(() => journal.begin(order(1, { prev: release })), { code: 'E_ORDER_PREV' })
  t.same(journal.services(), [])
  t.same(journal.unfinished(), [])
})

t.test('an aborted deployment uses up its number and changes nothing else', async (t) => {
  using journal = new Journal(freshFile())
  journal.begin(order(1))
  journal.end(order(1).opId, ended('aborted'), end, receipt(1))
  t.match(journal.service('shop'), { seq: 1, active: null, previous: null })
  t.throws(() => journal.advance(order(1).opId, received), { code: 'E_STORE' })
  t.match(journal.history('shop', 10, 5), [{ seq: 1, ended: end, life: { state: 'aborted' } }])
  t.match(journal.lastReceipt(), { number: 1, opId: order(1).opId })
})

t.test('the end is all or nothing: without a receipt nothing is committed', async (t) => {
  using journal = new Journal(freshFile())
  journal.begin(order(1))
  journal.end(order(1).opId, ended('committed'), end, receipt(1))
  journal.begin(order(2, { prev: release, release: 'b'.repeat(64) }))
  t.throws(() => journal.end(order(2).opId, ended('committed'), end, receipt(1)))
  t.equal(journal.service('shop').active, release)
  t.match(journal.unfinished(), [{ opId: order(2).opId, life: { state: 'received' } }])
})

t.test('events have their numbers, and a client can ask for what it missed', async (t) => {
  using journal = new Journal(freshFile())
  journal.begin(order(1))
  for (const state of ['staging', 'staged', 'checked'])
    journal.addEvent(order(1).opId, end, 'state', { state })
  t.match(journal.eventsAfter(order(1).opId, 1), [
    { n: 2, data: { state: 'staged' } },
    { n: 3, data: { state: 'checked' } },
  ])
})

t.test('two agents on one file: of two orders with one number, one wins', async (t) => {
  const file = freshFile()
  using one = new Journal(file)
  using two = new Journal(file)
  one.begin(order(1))
  t.throws(() => two.begin(order(1, { opId: 'f'.repeat(32), who: 'ben' })), { code: 'E_BUSY' })
})

t.test('killed at any state, the journal says which it was', async (t) => {
  const events = ['begin', 'staged', 'checked', 'switch', 'switched', 'healthy']
  const writer = fileURLToPath(new URL('../../../fixtures/journal-writer.ts', import.meta.url))
  for (const steps of [0, 1, 2, 3, 4, 5, 6]) {
    const file = freshFile()
    const child = spawn(process.execPath, [writer, file, ...events.slice(0, steps)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    child.kill('SIGKILL')
    await once(child, 'exit')
    using journal = new Journal(file)
    t.equal(journal.unfinished()[0]?.life.state, said.toString().trim())
    const db = new Database(file, { readonly: true })
    t.equal(db.pragma('integrity_check', { simple: true }), 'ok')
    db.close()
  }
})
