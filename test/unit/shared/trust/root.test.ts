import t from 'tap'
import { encodeDocument } from '../../../../shared/documents/document.ts'
import { namespaces } from '../../../../shared/formats/namespaces.ts'
import { checkRootTime, followRoot, openRoot } from '../../../../shared/trust/root.ts'
import { needPeople, whoSigned } from '../../../../shared/trust/signers.ts'
import { keyOf, makePeople, rootWith, signRoot, signedBy, testFleet } from '../../../rig/people.ts'

const { ann, ben, eve, spare } = await makePeople('ann', 'ben', 'eve', 'spare')
const root = rootWith([keyOf(ann, ['root', 'release', 'order']), keyOf(ben, ['root', 'release'])], {
  thresholds: { root: 1, release: 2, order: 1 },
})
const later = '2026-06-01T00:00:00.000Z'

t.test('as many distinct people as the threshold asks for must sign', async (t) => {
  const both = await signedBy(namespaces.release, {}, ann, ben)
  const open = (signatures: string[]) =>
    needPeople(whoSigned(namespaces.release, both.bytes, signatures, root), 'release', root, later, 'release')
  t.same(
    open(both.signatures).map(({ owner }) => owner),
    ['ann', 'ben'],
  )
  const [byAnn = ''] = both.signatures
  t.throws(() => open([byAnn]), { code: 'E_SIGNER_UNKNOWN' })
  t.throws(() => open([byAnn, byAnn]), { code: 'E_SIGNER_UNKNOWN' })
})

t.test('somebody with two keys is one person', async (t) => {
  const twoKeys = rootWith(
    [
      keyOf(ann, ['release', 'root', 'order']),
      keyOf(ben, ['release']),
      keyOf(spare, ['release'], { owner: 'ann' }),
    ],
    {
      thresholds: { root: 1, release: 2, order: 1 },
    },
  )
  const { bytes, signatures } = await signedBy(namespaces.release, {}, ann, spare)
  const signed = whoSigned(namespaces.release, bytes, signatures, twoKeys)
  t.throws(() => needPeople(signed, 'release', twoKeys, later, 'release'), { code: 'E_SIGNER_UNKNOWN' })
})

t.test('a key signs only what its roles say, until it runs out, and a stranger nothing', async (t) => {
  const limited = rootWith([...root.keys, keyOf(spare, ['order'], { notAfter: later })])
  const open = async (who: typeof ann, now: string) => {
    const { bytes, signatures } = await signedBy(namespaces.order, {}, who)
    return needPeople(whoSigned(namespaces.order, bytes, signatures, limited), 'order', limited, now, 'order')
  }
  t.match(await open(spare, later), [{ owner: 'spare' }])
  await t.rejects(open(spare, '2026-06-01T00:00:00.001Z'), { code: 'E_SIGNER_UNKNOWN' })
  await t.rejects(open(ben, later), { code: 'E_SIGNER_UNKNOWN' })
  await t.rejects(open(eve, later), { message: new RegExp(eve.signer.fingerprint.replace(/[+/]/g, '.')) })
})

t.test('a root is opened when it is whole and its own people signed it', async (t) => {
  const { bytes, signatures } = await signRoot(root, ann)
  t.same(openRoot(bytes, signatures).root, root)
  const byEve = await signRoot(root, eve)
  t.throws(() => openRoot(bytes, byEve.signatures), { code: 'E_SIGNER_UNKNOWN' })
  const doubled = await signRoot({ ...root, keys: [...root.keys, ...root.keys.slice(0, 1)] }, ann)
  t.throws(() => openRoot(doubled.bytes, doubled.signatures), { message: /twice/ })
  checkRootTime(root, root.expires)
  t.throws(() => checkRootTime(root, '2040-01-01T00:00:00.001Z'), { code: 'E_ROOT_EXPIRED' })
})

t.test('a root that would lock everybody out is none', async (t) => {
  const never = rootWith(root.keys, { thresholds: { root: 3, release: 1, order: 1 } })
  const { bytes, signatures } = await signRoot(never, ann, ben)
  t.throws(() => openRoot(bytes, signatures), {
    message: /3 must sign in the role root, and it names 2/,
  })
  const unheard = rootWith([...root.keys, keyOf(spare, ['recovery'])])
  const other = await signRoot(unheard, ann)
  t.throws(() => openRoot(other.bytes, other.signatures), { message: /recovery has no threshold/ })
})

t.test('the next root needs enough people of both', async (t) => {
  const two = rootWith(root.keys, { thresholds: { root: 2, release: 1, order: 1 } })
  const next = rootWith([keyOf(ann, ['root', 'release', 'order']), keyOf(eve, ['root'])], { version: 2 })
  const follow = async (from: typeof root, to: typeof root, ...people: (typeof ann)[]) => {
    const { bytes, signatures } = await signRoot(to, ...people)
    return followRoot(from, bytes, signatures).root.version
  }
  t.equal(await follow(two, next, ann, ben), 2)
  await t.rejects(follow(two, next, ann), { code: 'E_SIGNER_UNKNOWN' }, 'one of two: a stolen minority')
  await t.rejects(follow(two, next, eve), { code: 'E_SIGNER_UNKNOWN' }, 'the new ones alone')
  await t.rejects(
    follow(root, { ...next, keys: [keyOf(eve, ['root', 'release', 'order'])] }, ann),
    {
      code: 'E_SIGNER_UNKNOWN',
    },
    'the old ones alone',
  )
  for (const [change, why] of [
    [{ version: 3 }, /not the next version/],
    [{ version: 1 }, /not the next version/],
    [{ fleet: 'e'.repeat(32) }, /another fleet/],
    [{ epoch: 3 }, /epoch/],
  ] as const)
    await t.rejects(follow(root, { ...next, ...change }, ann), { code: 'E_ROOT_CHAIN', message: why })
})

t.test('recovery keys stand in for root keys, and begin a new epoch', async (t) => {
  const before = rootWith([keyOf(ann, ['root', 'release', 'order']), keyOf(spare, ['recovery'])], {
    thresholds: { root: 1, release: 1, order: 1, recovery: 1 },
  })
  const after = rootWith([keyOf(ben, ['root', 'release', 'order']), keyOf(spare, ['recovery'])], {
    ...before,
    version: 2,
    epoch: 2,
    keys: [keyOf(ben, ['root', 'release', 'order']), keyOf(spare, ['recovery'])],
  })
  const { bytes, signatures } = await signRoot(after, spare, ben)
  t.equal(followRoot(before, bytes, signatures).root.epoch, 2)
  const same = await signRoot({ ...after, epoch: 1 }, spare, ben)
  t.throws(() => followRoot(before, same.bytes, same.signatures), { code: 'E_SIGNER_UNKNOWN' })
})

t.test('every single flipped bit of a root or of its signature is noticed', async (t) => {
  const { bytes, signatures } = await signRoot({ ...root, fleet: testFleet }, ann)
  const [signature = ''] = signatures
  let accepted = 0
  for (let bit = 0; bit < bytes.length * 8; bit++) accepted += isOpened(flipped(bytes, bit), signature)
  t.equal(accepted, 0, `${bytes.length * 8} bits of the root`)
  const armor = Buffer.from(signature, 'latin1')
  for (let bit = 0; bit < armor.length * 8; bit++)
    accepted += isOpened(bytes, flipped(armor, bit).toString('latin1'))
  t.equal(accepted, 0, `${armor.length * 8} bits of the signature`)
  t.equal(isOpened(encodeDocument({ ...root, fleet: testFleet }), signature), 1)
})

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

function isOpened(bytes: Buffer, signature: string): number {
  try {
    openRoot(bytes, [signature])
    return 1
  } catch {
    return 0
  }
}
