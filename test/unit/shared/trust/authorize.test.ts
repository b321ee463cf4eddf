import t from 'tap'
import type { Approval } from '../../../../shared/formats/approval.ts'
import { namespaces } from '../../../../shared/formats/namespaces.ts'
import type { Policy, Root } from '../../../../shared/formats/root.ts'
import { openApproval } from '../../../../shared/trust/approvals.ts'
import { authorize, type Request } from '../../../../shared/trust/authorize.decide.ts'
import { covers, demandsOf } from '../../../../shared/trust/scope.decide.ts'
import { keyOf, makePeople, rootWith, signedBy, testFleet, type Person } from '../../../rig/people.ts'

const { ann, ben, cron } = await makePeople('ann', 'ben', 'cron')
const [release, other] = ['a'.repeat(64), 'b'.repeat(64)]
const environment = { name: 'production', digest: 'c'.repeat(64) }
const now = '2026-06-01T12:00:00.000Z'
const everywhere = { services: ['*'], hosts: ['*'] }
const order = { service: 'shop', release, environment, epoch: 1, fleet: testFleet }
const clean = { commit: 'd'.repeat(40), dirty: false, builder: 'x', lockfile: null }

const fleet = (policies: Policy[] = [], change: Partial<Root> = {}): Root =>
  rootWith([keyOf(ann, ['root', 'release', 'order']), keyOf(ben, ['order']), keyOf(cron, ['schedule'])], {
    thresholds: { root: 1, release: 1, order: 1, schedule: 1 },
    ...(policies.length > 0 && { policies }),
    ...change,
  })

const byOf = (root: Root, ...people: Person[]) => ({
  by: people.flatMap(({ signer }) => {
    const key = root.keys.find((one) => one.key === signer.publicKey)
    return key ? [{ ...key, fingerprint: signer.fingerprint }] : []
  }),
  strangers: [],
})

async function approvedBy(root: Root, who: Person, change: Partial<Approval> = {}) {
  const approval: Approval = {
    spec: 'deployctl/approval/v1',
    fleet: testFleet,
    epoch: 1,
    service: 'shop',
    release,
    environment,
    hosts: ['web1', 'web2'],
    notBefore: '2026-06-01T11:00:00.000Z',
    expires: '2026-06-01T13:00:00.000Z',
    reason: '',
    ...change,
  }
  const { bytes, signatures } = await signedBy(namespaces.approval, approval, who)
  return openApproval(bytes, signatures, root)
}

const request = (root: Root, who: Person, change: Partial<Request> = {}): Request => ({
  root,
  order,
  signed: byOf(root, who),
  approvals: [],
  host: 'web1',
  previous: null,
  configuration: environment.digest,
  provenance: clean,
  now,
  ...change,
})

t.test('patterns are names, or beginnings with a star', (t) => {
  t.ok(covers(undefined, 'shop', 'web1'))
  t.ok(covers({ services: ['shop'], hosts: ['web*'] }, 'shop', 'web12'))
  t.notOk(covers({ services: ['shop'], hosts: ['web*'] }, 'shop2', 'web12'))
  t.notOk(covers({ services: ['shop'], hosts: ['web'] }, 'shop', 'web1'))
  t.ok(covers({ services: ['*'], hosts: ['db1'] }, 'shop', null))
  t.end()
})

t.test('of several policies the strictest counts', (t) => {
  const root = fleet([
    { scope: everywhere, approvals: 2 },
    { scope: { services: ['shop'], hosts: ['db*'] }, approvals: 3, cleanCommit: true },
  ])
  t.same(demandsOf(root, 'shop', 'web1'), { people: 2, cleanCommit: false, windows: [] })
  t.same(demandsOf(root, 'shop', 'db1'), { people: 3, cleanCommit: true, windows: [] })
  t.end()
})

t.test('one person is enough where nobody says otherwise', (t) => {
  const root = fleet()
  t.match(authorize(request(root, ann)), { by: [{ owner: 'ann' }], isScheduled: false })
  t.end()
})

t.test('where two must agree, one order and one approval do, and nothing less', async (t) => {
  const root = fleet([{ scope: everywhere, approvals: 2 }])
  const refused = { code: 'E_APPROVALS' }
  t.throws(() => authorize(request(root, ann)), refused)
  const agreed = await approvedBy(root, ben)
  t.match(authorize(request(root, ann, { approvals: [agreed] })), { agreed: [{ owner: 'ben' }] })
  const own = await approvedBy(root, ann)
  t.throws(() => authorize(request(root, ann, { approvals: [own] })), refused, 'oneself does not count twice')
  const elsewhere: Partial<Approval>[] = [
    { release: other },
    { service: 'blog' },
    { hosts: ['web2'] },
    { environment: { ...environment, digest: release } },
    { environment: { ...environment, name: 'staging' } },
    { epoch: 2 },
    { fleet: 'e'.repeat(32) },
    { expires: '2026-06-01T11:59:59.999Z' },
    { notBefore: '2026-06-01T12:00:00.001Z' },
  ]
  for (const change of elsewhere) {
    const approvals = [await approvedBy(root, ben, change)]
    t.throws(() => authorize(request(root, ann, { approvals })), refused, JSON.stringify(change))
  }
})

t.test('going back to the release before needs nobody else; to another one it does', (t) => {
  const root = fleet([{ scope: everywhere, approvals: 2, cleanCommit: true }])
  const dirty = { ...clean, dirty: true }
  t.match(authorize(request(root, ann, { previous: release, provenance: dirty })), { agreed: [] })
  t.throws(() => authorize(request(root, ann, { previous: other })), { code: 'E_APPROVALS' })
  for (const configuration of [other, null])
    t.throws(
      () => authorize(request(root, ann, { previous: release, configuration })),
      { code: 'E_APPROVALS' },
      'nor with another configuration, which could make anything of it',
    )
  t.end()
})

t.test("a schedule's key carries out what people agreed to, and nothing else", async (t) => {
  const root = fleet()
  t.throws(() => authorize(request(root, cron)), { code: 'E_APPROVALS' })
  t.throws(() => authorize(request(root, cron, { previous: release })), { code: 'E_APPROVALS' })
  const byItself = await approvedBy(root, cron)
  t.throws(() => authorize(request(root, cron, { approvals: [byItself] })), { code: 'E_APPROVALS' })
  const agreed = await approvedBy(root, ben)
  t.match(authorize(request(root, cron, { approvals: [agreed] })), { isScheduled: true })
  t.end()
})

t.test('a key that is for some hosts is none for the others', (t) => {
  const scope = { services: ['shop'], hosts: ['web*'] }
  const root = fleet([], {
    keys: [
      keyOf(ann, ['root', 'release', 'order']),
      keyOf(ben, ['order'], { scope }),
      keyOf(cron, ['schedule']),
    ],
  })
  t.ok(authorize(request(root, ben)))
  t.throws(() => authorize(request(root, ben, { host: 'db1' })), { code: 'E_SCOPE' })
  t.throws(() => authorize(request(root, ben, { order: { ...order, service: 'blog' } })), { code: 'E_SCOPE' })
  t.end()
})

t.test('a release with changes of its own is refused where only clean ones are taken', (t) => {
  const root = fleet([{ scope: everywhere, cleanCommit: true }])
  t.ok(authorize(request(root, ann)))
  for (const provenance of [
    { ...clean, dirty: true },
    { ...clean, commit: null },
  ])
    t.throws(() => authorize(request(root, ann, { provenance })), { code: 'E_DIRTY_RELEASE' })
  t.end()
})
