import fc from 'fast-check'
import t from 'tap'
import * as edit from '../../../../controller/identity/edit-root.decide.ts'
import { encodeDocument } from '../../../../shared/documents/document.ts'
import { DeployError } from '../../../../shared/errors.ts'
import type { Approval } from '../../../../shared/formats/approval.ts'
import { namespaces } from '../../../../shared/formats/namespaces.ts'
import { roles, type Policy, type Role, type Root } from '../../../../shared/formats/root.ts'
import { fingerprintOf, publicKeyBlob } from '../../../../shared/sshsig/public-key.ts'
import { authorize } from '../../../../shared/trust/authorize.decide.ts'
import { followRoot, parseRoot } from '../../../../shared/trust/root.ts'
import { people, type SigningKey } from '../../../../shared/trust/signers.ts'
import { keyOf, makePeople, rootWith, signedBy, testFleet, type Person } from '../../../rig/people.ts'

const known = Object.values(await makePeople('ann', 'ben', 'cem', 'dia'))
const fingerprint = (line: string) => fingerprintOf(publicKeyBlob(line))
const person = fc.constantFrom(...known)
const someRoles = fc.uniqueArray(fc.constantFrom<Role>(...roles), { minLength: 1, maxLength: 5 })
const scope = fc.record({
  services: fc.constantFrom<string[]>(['*'], ['shop'], ['blog', 'sh*']),
  hosts: fc.constantFrom<string[]>(['*'], ['web1'], ['web*', 'db1']),
})
const policy = fc.record(
  { scope, approvals: fc.integer({ min: 1, max: 3 }), cleanCommit: fc.constant(true as const) },
  { requiredKeys: ['scope'] },
)

/** One change as `deployctl trust` makes it. */
const change: fc.Arbitrary<(root: Root) => Root> = fc.oneof(
  fc.tuple(person, someRoles).map(
    ([who, own]) =>
      (root: Root) =>
        edit.withKey(root, keyOf(who, own), fingerprint),
  ),
  person.map((who) => (root: Root) => edit.withoutKeys(root, [who.signer.fingerprint], fingerprint).root),
  fc.tuple(fc.constantFrom<Role>('root', 'release', 'order'), fc.integer({ min: 1, max: 3 })).map(
    ([role, count]) =>
      (root: Root) =>
        edit.withThreshold(root, role, count),
  ),
  policy.map((one) => (root: Root) => edit.withPolicy(root, one)),
)

const start = rootWith([keyOf(known[0] as Person, ['root', 'release', 'order'])])

/** Null for a root that nobody could follow, which is refused when it is made. */
function parsed(root: Root): Root | null {
  try {
    return parseRoot(encodeDocument(root))
  } catch (error) {
    if (error instanceof DeployError && error.code === 'E_ROOT_UNREACHABLE') return null
    throw error
  }
}

t.test(
  'a chain of any changes can be followed by whoever has enough signatures of both sides, and only then',
  async (t) => {
    let [followed, refused] = [0, 0]
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 8 }),
        fc.subarray(known),
        async (changes, signers) => {
          let current = start
          for (const apply of changes) {
            const next = parsed({ ...apply(current), version: current.version + 1 })
            if (!next) continue
            const { bytes, signatures } = await signedBy(namespaces.root, next, ...signers)
            const count = (root: Root) =>
              new Set(
                root.keys
                  .filter(
                    ({ key, roles: own }) =>
                      own.includes('root') && signers.some(({ signer }) => signer.publicKey === key),
                  )
                  .map(({ owner }) => owner),
              ).size
            const isEnough = count(current) >= current.thresholds.root && count(next) >= next.thresholds.root
            if (isEnough) {
              current = followRoot(current, bytes, signatures).root
              followed += 1
            } else {
              t.throws(() => followRoot(current, bytes, signatures), { code: 'E_SIGNER_UNKNOWN' })
              refused += 1
            }
          }
        },
      ),
      { numRuns: 150 },
    )
    t.comment(`${followed} followed, ${refused} refused`)
    t.ok(followed > 20 && refused > 20)
  },
)

const digest = 'a'.repeat(64)
const environment = { name: 'production', digest }
const now = '2026-06-01T12:00:00.000Z'
const order = { service: 'shop', release: digest, environment, epoch: 1, fleet: testFleet }
const approval: Approval = {
  ...order,
  spec: 'deployctl/approval/v1',
  hosts: ['web1'],
  notBefore: now,
  expires: now,
  reason: '',
}

type Case = {
  keys: [Person, Role[]][]
  policies: Policy[]
  ordering: Person
  agreeing: Person[]
  dirty: boolean
}
const anyCase: fc.Arbitrary<Case> = fc.record({
  keys: fc.uniqueArray(fc.tuple(person, someRoles), { minLength: 1, maxLength: 4, selector: ([who]) => who }),
  policies: fc.array(policy, { maxLength: 3 }),
  ordering: person,
  agreeing: fc.subarray(known),
  dirty: fc.boolean(),
})

function isAllowed({ keys, policies, ordering, agreeing, dirty }: Case): boolean {
  const root = rootWith(
    keys.map(([who, own]) => keyOf(who, own)),
    { policies, thresholds: { root: 1, release: 1, order: 1, schedule: 1, recovery: 1 } },
  )
  const keyIn = ({ signer }: Person): SigningKey[] => {
    const found = root.keys.find(({ key }) => key === signer.publicKey)
    return found ? [{ ...found, fingerprint: signer.fingerprint }] : []
  }
  const signedBy = (...who: Person[]) => ({ by: who.flatMap(keyIn), strangers: [] })
  try {
    authorize({
      root,
      order,
      signed: signedBy(ordering),
      approvals: agreeing.map((one) => ({ approval, signed: signedBy(one) })),
      host: 'web1',
      previous: null,
      configuration: null,
      provenance: { commit: 'c'.repeat(40), dirty, builder: 'x', lockfile: null },
      now,
    })
    return true
  } catch (error) {
    if (error instanceof DeployError) return false
    throw error
  }
}

t.test('more people never stop an order, more policies never let one through', (t) => {
  fc.assert(
    fc.property(anyCase, person, policy, (one, who, more) => {
      const withPerson = isAllowed({ ...one, agreeing: [...one.agreeing, who] })
      const withPolicy = isAllowed({ ...one, policies: [...one.policies, more] })
      return (!isAllowed(one) || withPerson) && (isAllowed(one) || !withPolicy)
    }),
    { numRuns: 5000 },
  )
  t.pass('5000 cases')
  t.end()
})

t.test('nobody without a role orders anything, whoever agrees', (t) => {
  fc.assert(
    fc.property(anyCase, (one) => {
      const own = one.keys.find(([who]) => who === one.ordering)?.[1] ?? []
      const may = own.includes('order') || own.includes('schedule')
      return may || !isAllowed(one)
    }),
    { numRuns: 2000 },
  )
  t.equal(people([]).length, 0)
  t.end()
})
