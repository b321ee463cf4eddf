import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openSigner } from '../../controller/identity/fleet.ts'
import { allowedSigners } from '../../controller/identity/allowed-signers.ts'
import { namespaces, type Namespace } from '../../shared/formats/namespaces.ts'
import type { Role } from '../../shared/formats/root.ts'
import { keygenSigner } from '../../shared/sshsig/keygen-signer.ts'
import { splitArmored } from '../../shared/sshsig/format.ts'
import { verifySignature } from '../../shared/sshsig/verify.ts'
import { inRole, whoSigned } from '../../shared/trust/signers.ts'
import { keyOf, makePeople, rootWith, signedBy } from '../rig/people.ts'
import { missingPackage } from '../rig/packages.ts'
import { makeRig } from '../rig/rig.ts'
import { makeToken } from '../rig/token.ts'

const skip = missingPackage('/usr/bin/ssh-keygen', 'openssh-client')
if (skip) t.comment(`skipped: ${skip}`)

/** Whether `ssh-keygen -Y verify` agrees. */
function verifies(
  dir: string,
  owner: string,
  namespace: string,
  document: string,
  ...more: string[]
): boolean {
  const { status } = spawnSync(
    'ssh-keygen',
    [
      '-Y',
      'verify',
      '-f',
      join(dir, 'allowed_signers'),
      '-I',
      owner,
      '-n',
      namespace,
      '-s',
      `${document}.sig`,
      ...more,
    ],
    { input: readFileSync(document) },
  )
  return status === 0
}

t.test('OpenSSH and we agree on who may sign what, and until when', { skip }, async (t) => {
  const people = await makePeople('ann', 'ben', 'old', 'cron', 'eve')
  const { ann, ben, old, cron, eve } = people
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-agree-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const root = rootWith(
    [
      keyOf(ann, ['root', 'release', 'order']),
      keyOf(ben, ['release']),
      keyOf(old, ['release', 'order'], { notAfter: '2026-06-01T00:00:00.000Z' }),
      keyOf(cron, ['schedule']),
    ],
    { thresholds: { root: 1, release: 1, order: 1, schedule: 1 } },
  )
  writeFileSync(join(dir, 'allowed_signers'), allowedSigners(root))
  const rolesOf: Record<string, Role[]> = {
    [namespaces.root]: ['root', 'recovery'],
    [namespaces.release]: ['release'],
    [namespaces.order]: ['order', 'schedule'],
    [namespaces.approval]: ['order'],
    [namespaces.receipt]: [],
  }
  const times = ['2026-05-31T23:59:59.000Z', '2026-06-01T00:00:01.000Z']
  let count = 0
  for (const person of [ann, ben, old, cron, eve])
    for (const namespace of Object.values(namespaces) as Namespace[]) {
      const { bytes, signatures } = await signedBy(namespace, { n: count }, person)
      const document = join(dir, 'document')
      writeFileSync(document, bytes)
      writeFileSync(`${document}.sig`, signatures.join(''))
      for (const now of times)
        for (const owner of Object.keys(people)) {
          const { by } = whoSigned(namespace, bytes, signatures, root)
          const ours = (rolesOf[namespace] ?? []).some((role) =>
            inRole(by, role, now).some((key) => key.owner === owner),
          )
          const at = `-Overify-time=${now.replace(/[-T:]|\..*/g, '')}Z`
          t.equal(
            verifies(dir, owner, namespace, document, at),
            ours,
            `${person.name} as ${owner} in ${namespace} at ${now}`,
          )
          count += 1
        }
    }
  // Revoked: there a list beside, here a root without the key.
  const { bytes, signatures } = await signedBy(namespaces.order, {}, ann)
  const document = join(dir, 'document')
  writeFileSync(document, bytes)
  writeFileSync(`${document}.sig`, signatures.join(''))
  execFileSync('ssh-keygen', ['-q', '-k', '-f', join(dir, 'krl'), `${ann.file}.pub`])
  t.ok(verifies(dir, 'ann', namespaces.order, document))
  t.notOk(verifies(dir, 'ann', namespaces.order, document, '-r', join(dir, 'krl')))
  const without = rootWith(root.keys.filter(({ owner }) => owner !== 'ann'))
  t.same(whoSigned(namespaces.order, bytes, signatures, without).by, [])
  t.comment(`${count} verdicts compared`)
})

t.test('every signed document of a history is checked by ssh-keygen alone', { skip }, async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  t.equal((await rig.cli('push')).code, 0)
  t.equal((await rig.cli('trust', 'renew')).code, 0)
  const dir = join(rig.home.dir, 'exported')
  const exported = await rig.cli('history', '--export', dir)
  t.equal(exported.code, 0, exported.stderr)
  t.match(exported.stdout, /8 documents in .*\n {2}ssh-keygen -Y verify -f allowed_signers/)
  t.equal((await rig.cli('build', '-o', join(rig.home.dir, 'release'))).code, 0)
  execFileSync('cp', [
    join(rig.home.dir, 'release/release.json'),
    join(rig.home.dir, 'release/release.json.sig'),
    dir,
  ])
  const owner = readFileSync(join(dir, 'allowed_signers'), 'utf8').split(' ')[0] ?? ''
  const namespaceOf = (name: string): [string, string] => {
    if (name.startsWith('root.')) return [owner, namespaces.root]
    if (name.endsWith('.order.json')) return [owner, namespaces.order]
    if (name === 'release.json') return [owner, namespaces.release]
    return [name.split('.')[0] ?? '', namespaces.receipt]
  }
  const documents = readdirSync(dir).filter((name) => name.endsWith('.json'))
  t.equal(documents.length, 9)
  for (const name of documents) {
    const [signer, namespace] = namespaceOf(name)
    t.ok(verifies(dir, signer, namespace, join(dir, name)), name)
    writeFileSync(join(dir, name), readFileSync(join(dir, name), 'utf8').replace('"', "'"))
    t.notOk(verifies(dir, signer, namespace, join(dir, name)), `${name}, changed`)
  }
})

t.test('what several signed stands in one file; ssh-keygen reads the first, we all', { skip }, async (t) => {
  const { ann, ben } = await makePeople('ann', 'ben')
  const { bytes, signatures } = await signedBy(namespaces.order, {}, ann, ben)
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-several-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const document = join(dir, 'document')
  writeFileSync(document, bytes)
  writeFileSync(`${document}.sig`, signatures.join(''))
  const root = rootWith([keyOf(ann, ['root', 'release', 'order']), keyOf(ben, ['order'])])
  writeFileSync(join(dir, 'allowed_signers'), allowedSigners(root))
  t.ok(verifies(dir, 'ann', namespaces.order, document))
  t.same(splitArmored(readFileSync(`${document}.sig`, 'utf8')), signatures)
})

t.test('a key that only ssh-keygen can use signs through it', { skip }, async (t) => {
  const { ann } = await makePeople('ann')
  const signer = keygenSigner(ann.file, readFileSync(`${ann.file}.pub`, 'utf8'))
  t.equal(signer.fingerprint, ann.signer.fingerprint)
  const message = Buffer.from('{"a":1}\n')
  const { publicKey } = verifySignature(
    namespaces.order,
    message,
    await signer.sign(namespaces.order, message),
  )
  t.equal(publicKey, ann.signer.publicKey)
  const missing = keygenSigner(`${ann.file}.gone`, readFileSync(`${ann.file}.pub`, 'utf8'))
  await t.rejects(missing.sign(namespaces.order, message), { code: 'E_KEY_UNREADABLE' })
})

t.test(
  'a hardware key signs with a touch only, which ssh-keygen does not look at and we do',
  { skip },
  async (t) => {
    const token = makeToken()
    const { ann } = await makePeople('ann')
    const dir = mkdtempSync(join(tmpdir(), 'deployctl-token-'))
    t.teardown(() => rmSync(dir, { recursive: true }))
    const root = rootWith([
      keyOf(ann, ['root', 'release', 'order']),
      { owner: 'ben', key: token.publicLine, roles: ['order'] },
    ])
    writeFileSync(join(dir, 'allowed_signers'), allowedSigners(root))
    const document = join(dir, 'document')
    const message = Buffer.from('{"a":1}\n')
    writeFileSync(document, message)
    const ours = (signature: string) => {
      try {
        return whoSigned(namespaces.order, message, [signature], root).by.map(({ owner }) => owner)
      } catch {
        return []
      }
    }
    for (const [flags, isGood] of [
      [0x01, true],
      [0x05, true],
      [0x00, false],
      [0x04, false],
    ] as const) {
      const signature = token.sshsig(namespaces.order, message, flags)
      writeFileSync(`${document}.sig`, signature)
      t.ok(verifies(dir, 'ben', namespaces.order, document), `OpenSSH with flags ${flags}`)
      t.same(ours(signature), isGood ? ['ben'] : [], `we with flags ${flags}`)
    }
    // By way of an agent, as `deployctl push --key token.pub` signs.
    const socket = join(dir, 'agent.sock')
    await token.agent(t, socket)
    writeFileSync(join(dir, 'token.pub'), `${token.publicLine} ben\n`)
    const signer = await openSigner({ configDir: dir, key: join(dir, 'token.pub'), agentSocket: socket })
    t.same(ours(await signer.sign(namespaces.order, message)), ['ben'])
  },
)
