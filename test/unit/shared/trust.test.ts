import t from 'tap'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeDocument } from '../../../shared/documents/document.ts'
import { openRoot, signersOf } from '../../../shared/documents/trust.ts'
import { namespaces } from '../../../shared/formats/namespaces.ts'
import type { Root } from '../../../shared/formats/root.ts'
import { generateKey } from '../../../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../../../shared/sshsig/key-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-trust-'))
t.teardown(() => rmSync(dir, { recursive: true }))
async function newSigner(name: string) {
  writeFileSync(join(dir, name), generateKey(name).privateKey)
  return keyFileSigner(join(dir, name))
}
const [ann, ben, eve] = await Promise.all([newSigner('ann'), newSigner('ben'), newSigner('eve')])
const root: Root = {
  spec: 'deployctl/root/v1',
  version: 1,
  fleet: 'f'.repeat(32),
  epoch: 1,
  expires: '2027-01-01T00:00:00.000Z',
  keys: [
    { owner: 'ann', key: ann.publicKey, roles: ['root', 'release', 'order'] },
    { owner: 'ben', key: ben.publicKey, roles: ['release'] },
  ],
  thresholds: { root: 1, release: 2, order: 1 },
}
const message = Buffer.from('{}')

t.test('as many distinct keys as the threshold asks for must sign', async (t) => {
  const [byAnn, byBen] = await Promise.all([ann, ben].map((one) => one.sign(namespaces.release, message)))
  const signers = signersOf('release', message, [byAnn ?? '', byBen ?? ''], root)
  t.same(signers, [
    { owner: 'ann', fingerprint: ann.fingerprint },
    { owner: 'ben', fingerprint: ben.fingerprint },
  ])
  t.throws(() => signersOf('release', message, [byAnn ?? ''], root), { code: 'E_SIGNER_UNKNOWN' })
  t.throws(() => signersOf('release', message, [byAnn ?? '', byAnn ?? ''], root), {
    code: 'E_SIGNER_UNKNOWN',
  })
})

t.test('a key may sign only what its roles say, and a stranger nothing', async (t) => {
  const byBen = await ben.sign(namespaces.order, message)
  t.throws(() => signersOf('order', message, [byBen], root), { code: 'E_SIGNER_UNKNOWN' })
  const byEve = await eve.sign(namespaces.order, message)
  t.throws(() => signersOf('order', message, [byEve], root), {
    message: new RegExp(eve.fingerprint.replace(/[+/]/g, '.')),
  })
})

t.test('a root is opened when it is whole, signed by its own keys and not expired', async (t) => {
  const bytes = encodeDocument(root)
  const now = '2026-06-01T00:00:00.000Z'
  const byAnn = await ann.sign(namespaces.root, bytes)
  t.same(openRoot(bytes, [byAnn], now), root)
  t.throws(() => openRoot(bytes, [byAnn], '2027-06-01T00:00:00.000Z'), { message: /expired/ })
  const byEve = await eve.sign(namespaces.root, bytes)
  t.throws(() => openRoot(bytes, [byEve], now), { code: 'E_SIGNER_UNKNOWN' })
  const doubled = encodeDocument({ ...root, keys: [root.keys[0], root.keys[0]] })
  const signed = await ann.sign(namespaces.root, doubled)
  t.throws(() => openRoot(doubled, [signed], now), { message: /twice/ })
})
