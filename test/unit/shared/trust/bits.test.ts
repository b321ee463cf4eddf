import t from 'tap'
import { openRelease } from '../../../../shared/documents/release.ts'
import { namespaces, type Namespace } from '../../../../shared/formats/namespaces.ts'
import type { Manifest } from '../../../../shared/formats/manifest.ts'
import { openApproval } from '../../../../shared/trust/approvals.ts'
import { whoSigned } from '../../../../shared/trust/signers.ts'
import { keyOf, makePeople, rootWith, signedBy, testFleet } from '../../../rig/people.ts'

const { ann } = await makePeople('ann')
const root = rootWith([keyOf(ann, ['root', 'release', 'order'])])
const digest = 'a'.repeat(64)
const now = '2026-01-01T00:00:00.000Z'
const manifest: Manifest = {
  spec: 'deployctl/release/v1',
  fleet: testFleet,
  service: 'shop',
  version: 'v1',
  created: now,
  files: [{ mode: '0644', path: 'index.js', sha256: digest, size: 1 }],
  links: [],
  emptyDirs: [],
  run: { argv: ['node', 'index.js'] },
  health: {},
  activation: {},
  minimumAgent: 1,
  provenance: { commit: null, dirty: false, builder: 'x', lockfile: null },
}
const short = { spec: 'x', fleet: testFleet, seq: 1 }

type Open = (bytes: Buffer, signatures: string[]) => unknown
const known =
  (namespace: Namespace): Open =>
  (bytes, signatures) => {
    if (whoSigned(namespace, bytes, signatures, root).by.length === 0) throw new Error('nobody signed it')
  }
const cases: [string, Namespace, unknown, Open][] = [
  [
    'a release',
    namespaces.release,
    manifest,
    (bytes, signatures) => openRelease(bytes, signatures, root, now),
  ],
  ['an order', namespaces.order, short, known(namespaces.order)],
  ['a receipt', namespaces.receipt, short, known(namespaces.receipt)],
  [
    'an approval',
    namespaces.approval,
    {
      spec: 'deployctl/approval/v1',
      fleet: testFleet,
      epoch: 1,
      service: 'shop',
      release: digest,
      environment: { name: 'p', digest },
      hosts: ['web1'],
      notBefore: now,
      expires: now,
      reason: '',
    },
    (bytes, signatures) => {
      if (openApproval(bytes, signatures, root).signed.by.length === 0) throw new Error('nobody signed it')
    },
  ],
]

for (const [what, namespace, value, open] of cases)
  t.test(`every single flipped bit of ${what} or its signature is noticed`, async (t) => {
    const { bytes, signatures } = await signedBy(namespace, value, ann)
    open(bytes, signatures)
    const armor = Buffer.from(signatures[0] ?? '', 'latin1')
    t.equal(
      accepted(bytes, (changed) => open(changed, signatures)),
      0,
      `${bytes.length * 8} bits`,
    )
    t.equal(
      accepted(armor, (changed) => open(bytes, [changed.toString('latin1')])),
      0,
      `${armor.length * 8} bits`,
    )
  })

function accepted(bytes: Buffer, open: (changed: Buffer) => unknown): number {
  let count = 0
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const copy = Buffer.from(bytes)
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      open(copy)
      count += 1
    } catch {
      continue
    }
  }
  return count
}
