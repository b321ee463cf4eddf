import t from 'tap'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { History, type HostResult, type Push } from '../../../../controller/history/history.ts'

const digest = 'a'.repeat(64)
const push = (opId: string, at: string): Push => ({
  opId,
  at,
  action: 'deploy',
  service: 'shop',
  environment: 'production',
  release: digest,
  version: 'v1',
  provenance: { commit: null, dirty: true, builder: 'x', lockfile: null },
  approvals: [],
  signer: 'owner',
  fingerprint: 'SHA256:x',
  reason: 'a new look',
  order: Buffer.from('{}'),
  rollout: null,
  orderSignatures: ['one', 'two'],
})
const result = (opId: string, host: string, number: number | null): HostResult => ({
  opId,
  host,
  result: number === null ? 'unknown' : 'committed',
  strategy: 'restart',
  reasons: ['the entry file changed'],
  steps: [{ step: 'staging', ms: 12.5 }],
  error: number === null ? { code: 'E_TIMEOUT', message: 'late' } : null,
  ended: '2026-01-01T00:00:01.000Z',
  receipt:
    number === null
      ? null
      : { bytes: Buffer.from('r'), signature: 's', digest: `${number}`, previous: null, number },
})

function fresh(t: Tap) {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-history-'))
  const file = join(dir, 'history.sqlite')
  t.teardown(() => rmSync(dir, { recursive: true }))
  return file
}
type Tap = typeof t

t.test('what was recorded is there, newest first, after opening the file again', async (t) => {
  const file = fresh(t as Tap)
  const first = push('1'.repeat(32), '2026-01-01T00:00:00.000Z')
  const second = push('2'.repeat(32), '2026-01-02T00:00:00.000Z')
  {
    using history = new History(file)
    history.recordPush(first)
    history.recordPush(second)
  }
  using history = new History(file)
  t.same(history.pushes('shop', 'production', 10), [second, first])
  t.same(history.pushes('shop', null, 1), [second])
  t.same(history.pushes('shop', 'staging', 10), [])
})

t.test('a receipt that comes late replaces the unknown result', async (t) => {
  using history = new History(fresh(t as Tap))
  const opId = '1'.repeat(32)
  history.recordPush(push(opId, '2026-01-01T00:00:00.000Z'))
  history.recordResult(result(opId, 'web1', null))
  t.same(history.results(opId), [result(opId, 'web1', null)])
  t.same(history.receiptsOf('web1'), [])
  history.recordResult(result(opId, 'web1', 4))
  t.same(history.results(opId), [result(opId, 'web1', 4)])
  t.same(history.receiptsOf('web1'), [result(opId, 'web1', 4)])
})

t.test('an order is recorded once, and a result only for a recorded order', async (t) => {
  using history = new History(fresh(t as Tap))
  const one = push('1'.repeat(32), '2026-01-01T00:00:00.000Z')
  history.recordPush(one)
  t.throws(() => history.recordPush(one), { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' })
  t.throws(() => history.recordResult(result('9'.repeat(32), 'web1', 1)), {
    code: 'SQLITE_CONSTRAINT_FOREIGNKEY',
  })
})

t.test('the first receipt key of a host stays pinned until it is unpinned by name', async (t) => {
  using history = new History(fresh(t as Tap))
  const at = '2026-01-01T00:00:00.000Z'
  t.equal(history.pinHost('fleet', 'web1', 'ssh-ed25519 ONE', at), 'ssh-ed25519 ONE')
  t.equal(history.pinHost('fleet', 'web1', 'ssh-ed25519 TWO', at), 'ssh-ed25519 ONE')
  t.equal(history.pinnedKey('other fleet', 'web1'), null)
  history.unpinHost('fleet', 'web1')
  t.equal(history.pinHost('fleet', 'web1', 'ssh-ed25519 TWO', at), 'ssh-ed25519 TWO')
})

t.test('a manifest is kept byte for byte', async (t) => {
  using history = new History(fresh(t as Tap))
  const bytes = Buffer.from([0, 255, 10, 13])
  history.keepManifest(digest, bytes, ['sig'])
  t.same(history.manifest(digest), { bytes, signatures: ['sig'] })
  t.equal(history.manifest('b'.repeat(64)), null)
})
