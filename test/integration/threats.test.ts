import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { compareReceipts, type HostReceipts } from '../../controller/history/compare.ts'
import { History } from '../../controller/history/history.ts'
import { openReceipt } from '../../controller/push/receipt.ts'
import { encodeDocument, parseDocument, sha256Hex } from '../../shared/documents/document.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import { Order } from '../../shared/formats/order.ts'
import type { Role, Root } from '../../shared/formats/root.ts'
import { Type, parserOf } from '../../shared/schema.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { OrderRequest } from '../../shared/wire/api.ts'
import { Attacker, type Change } from '../rig/attacker.ts'
import { fleetOf } from '../rig/host.ts'
import { keyOf, makePeople } from '../rig/people.ts'
import { makeRig, type Rig } from '../rig/rig.ts'

/** THREATS.md has a row for each of these tests; a test there holds them together. */
const { ben, eve, cron, safe } = await makePeople('ben', 'eve', 'cron', 'safe')

const anything = parserOf(Type.Unknown())
const hour = 3_600_000
const at = (ms: number) => new Date(Date.now() + ms).toISOString()

/** Two hosts that run v2 and had v1 before, and somebody with the keys that the test gives them. */
async function attacked(t: Parameters<typeof makeRig>[0], names = ['web1', 'web2']) {
  const rig = await makeRig(t, names)
  for (const version of ['v1', 'v2']) {
    rig.version(version)
    const { code, stderr } = await rig.cli('push')
    if (code !== 0) throw new Error(stderr)
  }
  const attacker = await Attacker.of(rig)
  const before = await rig.state('web1')
  /** Nothing was begun, nothing changed. */
  const unchanged = async () => {
    const { active, seq } = await rig.state('web1')
    return active === before.active && seq === before.seq && (await rig.get('web1')) === 'v2'
  }
  return { rig, attacker, before, unchanged }
}

/** The next root, with more keys; signed by the fleet's own. */
async function enlarge(rig: Rig, attacker: Attacker, change: (root: Root) => Partial<Root>) {
  const { root } = attacker
  const next = { ...root, version: root.version + 1, ...change(root) }
  const codes = []
  for (const { name } of rig.hosts) codes.push(await attacker.handRoot(name, next, await attacker.own()))
  if (codes.some((code) => code !== 'accepted')) throw new Error(codes.join())
  // Whoever opens a session has it from the host.
  await attacker.with('web1', async () => {})
  return next
}

const withRoles =
  (...people: [typeof ben, ...Role[]][]) =>
  (root: Root): Partial<Root> => {
    const keys = [...root.keys, ...people.map(([person, ...roles]) => keyOf(person, roles))]
    const optional = (['schedule', 'recovery'] as const).filter((role) =>
      keys.some((key) => key.roles.includes(role)),
    )
    return {
      keys,
      thresholds: { ...root.thresholds, ...Object.fromEntries(optional.map((role) => [role, 1])) },
    }
  }

function manifestOf(rig: Rig): Manifest {
  const dir = join(rig.host('web1').dir, 'manifests')
  const name = readdirSync(dir).find((one) => one.endsWith('.json')) ?? ''
  return JSON.parse(readFileSync(join(dir, name), 'utf8')) as Manifest
}

/** The orders that a host took, as anybody on the wire or in a history could have recorded them. */
function recorded(rig: Rig, name: string): OrderRequest[] {
  const db = new Database(join(rig.host(name).dir, 'journal.sqlite'), { readonly: true })
  const rows = db
    .prepare('SELECT order_bytes, signatures, environment FROM deployments ORDER BY seq')
    .all() as {
    order_bytes: Buffer
    signatures: string
    environment: string
  }[]
  db.close()
  return rows.map((row) => ({
    order: row.order_bytes.toString(),
    signatures: JSON.parse(row.signatures) as string[],
    environment: JSON.parse(row.environment) as OrderRequest['environment'],
  }))
}

t.test('arbitrary software: what a stranger signed is not even taken', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  const manifest = { ...manifestOf(rig), version: 'evil' }
  t.equal(await attacker.offer('web1', manifest, eve.signer), 'E_SIGNER_UNKNOWN')
  t.equal(await attacker.send('web1', await attacker.order('web1'), eve.signer), 'E_SIGNER_UNKNOWN')
  const unknown = await attacker.order('web1', { release: randomBytes(32).toString('hex') })
  t.equal(await attacker.send('web1', unknown), 'E_RELEASE_UNKNOWN')
  t.ok(await unchanged())
})

t.test(
  'rollback and replay: a recorded order is refused, and so is a new one for an old state',
  async (t) => {
    const { rig, attacker, before, unchanged } = await attacked(t)
    for (const request of recorded(rig, 'web1'))
      t.match(await attacker.replay('web1', request), /^E_ORDER_(CHALLENGE|EXPIRED|REPLAYED)$/)
    const stale: Change[] = [
      { host: { seq: before.seq } },
      { host: { seq: before.seq - 1 } },
      { host: { prev: null } },
      { host: { prev: 'a'.repeat(64) } },
      { host: { challenge: 'a'.repeat(64) } },
    ]
    for (const change of stale)
      t.match(
        await attacker.send('web1', await attacker.order('web1', change)),
        /^E_ORDER_(SEQ|PREV|CHALLENGE)$/,
        JSON.stringify(change),
      )
    const order = await attacker.order('web1')
    const opId = parseDocument(
      parserOf(Order),
      Buffer.from(recorded(rig, 'web1')[0]?.order ?? ''),
      'order',
    ).opId
    t.equal(await attacker.send('web1', { ...order, opId }), 'E_ORDER_REPLAYED')
    t.ok(await unchanged())
  },
)

t.test('freeze: an order held back runs out, and so does a root that nobody renewed', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  const old = await attacker.order('web1', { notBefore: at(-hour), expires: at(-hour / 2) })
  t.equal(await attacker.send('web1', old), 'E_ORDER_EXPIRED')
  const early = await attacker.order('web1', { notBefore: at(hour), expires: at(2 * hour) })
  t.equal(await attacker.send('web1', early), 'E_ORDER_EXPIRED')
  const { expires } = attacker.root
  await enlarge(rig, attacker, () => ({ expires: at(4000) }))
  await delay(4500)
  t.equal(await attacker.send('web1', await attacker.order('web1')), 'E_ROOT_EXPIRED')
  t.equal(await attacker.offer('web1', manifestOf(rig), await attacker.own()), 'E_ROOT_EXPIRED')
  t.match(await rig.cli('push'), { code: 5, stderr: /E_ROOT_EXPIRED .*trust rotate/s })
  t.ok(await unchanged(), 'it goes on serving')
  await enlarge(rig, attacker, () => ({ expires }))
  rig.version('v3')
  t.equal((await rig.cli('push')).code, 0, 'a new root ends it')
})

t.test('mix and match: nothing of one order, configuration or root goes with another', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  const other = { ...attacker.environment, env: { DEBUG: '1' } }
  t.equal(
    await attacker.send('web1', await attacker.order('web1'), undefined, { environment: other }),
    'E_ENVIRONMENT_DIGEST',
  )
  const [first] = recorded(rig, 'web1')
  const fresh = await attacker.order('web1')
  t.equal(
    await attacker.send('web1', fresh, undefined, { signatures: first?.signatures ?? [] }),
    'E_SIGNATURE_INVALID',
  )
  t.equal(
    await attacker.send('web1', await attacker.order('web1', { root: attacker.root.version + 1 })),
    'E_ROOT_VERSION',
  )
  await enlarge(rig, attacker, withRoles([ben, 'release', 'order']))
  const before = await attacker.order('web1', { root: attacker.root.version - 1 })
  t.equal(await attacker.send('web1', before), 'E_ROOT_VERSION', 'nor an order of before a new root')
  t.ok(await unchanged())
})

t.test('wrong fleet, host or service: an order is for whom it names', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  t.equal(
    await attacker.send('web1', await attacker.order('web1', { fleet: 'e'.repeat(32) })),
    'E_WRONG_FLEET',
  )
  t.equal(await attacker.send('web1', await attacker.order('web1', { epoch: 2 })), 'E_WRONG_FLEET')
  t.equal(await attacker.send('web1', await attacker.order('web2')), 'E_WRONG_HOST')
  const blog = await attacker.order('web1', { service: 'blog' })
  t.match(await attacker.send('web1', blog), /^E_(ORDER_CHALLENGE|WRONG_SERVICE)$/)
  const own = await attacker.own()
  t.equal(await attacker.offer('web1', { ...manifestOf(rig), service: 'blog' }, own), 'E_WRONG_SERVICE')
  t.equal(await attacker.offer('web1', { ...manifestOf(rig), fleet: 'e'.repeat(32) }, own), 'E_WRONG_FLEET')
  t.ok(await unchanged())
})

t.test('fast-forward: no number can be jumped ahead', async (t) => {
  const { attacker, before, unchanged } = await attacked(t)
  for (const seq of [before.seq + 2, 2 ** 53 - 1])
    t.equal(await attacker.send('web1', await attacker.order('web1', { host: { seq } })), 'E_ORDER_SEQ')
  const own = await attacker.own()
  const { root } = attacker
  for (const version of [root.version + 2, 1_000_000])
    t.equal(await attacker.handRoot('web1', { ...root, version }, own), 'E_ROOT_CHAIN')
  t.equal(await attacker.handRoot('web1', { ...root, version: 2, epoch: 99 }, own), 'E_ROOT_CHAIN')
  t.ok(await unchanged())
})

t.test('a stolen order key: it makes no releases, and cannot do what several must agree to', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  const everywhere = { services: ['*'], hosts: ['*'] }
  await enlarge(rig, attacker, (root) => ({
    ...withRoles([ben, 'order'], [eve, 'order'])(root),
    policies: [{ scope: everywhere, approvals: 2 }],
  }))
  t.equal(
    await attacker.offer('web1', { ...manifestOf(rig), version: 'evil' }, eve.signer),
    'E_SIGNER_UNKNOWN',
  )
  const back = await attacker.order('web1')
  const known = await rig.state('web1')
  const again = { ...back, release: known.active ?? '' }
  t.equal(await attacker.send('web1', again, eve.signer), 'E_APPROVALS')
  // NODE_OPTIONS would make anything of the release before.
  const other = { ...attacker.environment, env: { NODE_OPTIONS: '--import=data:text/javascript,0' } }
  const digest = sha256Hex(encodeDocument(other))
  const bent = { ...back, environment: { name: other.name, digest } }
  t.equal(await attacker.send('web1', bent, eve.signer, { environment: other }), 'E_APPROVALS')
  const own = await attacker.approval(eve.signer, again)
  t.equal(await attacker.send('web1', again, eve.signer, { approvals: [own] }), 'E_APPROVALS')
  t.equal(
    await attacker.handRoot('web1', { ...attacker.root, version: attacker.root.version + 1 }, eve.signer),
    'E_SIGNER_UNKNOWN',
  )
  t.ok(await unchanged())
  await enlarge(rig, attacker, (root) => ({
    keys: root.keys.map((key) =>
      key.owner === 'eve' ? { ...key, scope: { services: ['blog'], hosts: ['*'] } } : key,
    ),
  }))
  t.equal(await attacker.send('web1', await attacker.order('web1'), eve.signer), 'E_SCOPE')
  await enlarge(rig, attacker, (root) => ({ keys: root.keys.filter(({ owner }) => owner !== 'eve') }))
  t.equal(
    await attacker.send('web1', await attacker.order('web1'), eve.signer),
    'E_SIGNER_UNKNOWN',
    'revoked',
  )
  t.ok(await unchanged())
})

t.test('a stolen root minority: fewer than the threshold make no root', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  await enlarge(rig, attacker, withRoles([ben, 'root'], [eve, 'root'], [safe, 'recovery']))
  const { root } = attacker
  const two = { ...root, version: root.version + 1, thresholds: { ...root.thresholds, root: 2 } }
  for (const { name } of rig.hosts)
    t.equal(await attacker.handRoot(name, two, ben.signer, eve.signer), 'accepted')
  await attacker.with('web1', async () => {})
  const takeOver = {
    ...two,
    version: two.version + 1,
    keys: [keyOf(eve, ['root', 'release', 'order'])],
    thresholds: { root: 1, release: 1, order: 1 },
  }
  t.equal(await attacker.handRoot('web1', takeOver, eve.signer), 'E_SIGNER_UNKNOWN')
  const twice = {
    ...takeOver,
    keys: [keyOf(eve, ['root', 'release', 'order']), keyOf(cron, ['root'], { owner: 'eve' })],
  }
  t.equal(await attacker.handRoot('web1', twice, eve.signer, cron.signer), 'E_SIGNER_UNKNOWN')
  t.ok(await unchanged())
})

t.test(
  'a taken controller: its key carries out what was approved, for as long as that is good',
  async (t) => {
    const { rig, attacker, before, unchanged } = await attacked(t)
    await enlarge(rig, attacker, withRoles([cron, 'schedule'], [ben, 'order']))
    const order = await attacker.order('web1')
    t.equal(await attacker.send('web1', order, cron.signer), 'E_APPROVALS')
    t.equal(
      await attacker.offer('web1', { ...manifestOf(rig), version: 'evil' }, cron.signer),
      'E_SIGNER_UNKNOWN',
    )
    for (const change of [
      { notBefore: at(-2 * hour), expires: at(-hour) },
      { release: before.active ?? '' },
      { hosts: ['web2'] },
    ]) {
      const approvals = [await attacker.approval(ben.signer, order, change)]
      t.equal(
        await attacker.send('web1', order, cron.signer, { approvals }),
        'E_APPROVALS',
        JSON.stringify(change),
      )
    }
    const approvals = [await attacker.approval(cron.signer, order)]
    t.equal(await attacker.send('web1', order, cron.signer, { approvals }), 'E_APPROVALS', 'by itself')
    t.ok(await unchanged())
    const good = await attacker.order('web1')
    const agreed = [await attacker.approval(ben.signer, good)]
    t.equal(
      await attacker.send('web1', good, cron.signer, { approvals: agreed }),
      'E_HOST_ANSWER',
      'a stream of events: it was taken',
    )
  },
)

t.test('a taken SSH account: whoever logs in can look, and order nothing', async (t) => {
  const { rig, attacker, unchanged } = await attacked(t)
  const order = await attacker.order('web1')
  t.equal(
    await attacker.send('web1', order, undefined, { signatures: ['s'.repeat(64)] }),
    'E_SIGNATURE_FORMAT',
  )
  t.equal(await attacker.send('web1', order, eve.signer), 'E_SIGNER_UNKNOWN')
  const { root } = attacker
  t.equal(
    await attacker.handRoot('web1', { ...root, version: root.version + 1 }, eve.signer),
    'E_SIGNER_UNKNOWN',
  )
  t.ok(await unchanged())
  // Shut out while it is logged in: the connection is worth nothing from then on.
  const own = await attacker.own()
  const line = readFileSync(`${rig.home.loginKey}.pub`, 'utf8')
  const revokedLogins = [fingerprintOf(publicKeyBlob(line))]
  await attacker.with('web1', async ({ client }) => {
    await client.get('/v1/hello', anything)
    t.equal(
      await attacker.handRoot('web1', { ...root, version: root.version + 1, revokedLogins }, own),
      'accepted',
    )
    await t.rejects(client.get('/v1/hello', anything), { code: 'E_LOGIN_REVOKED' })
  })
})

t.test('a malicious host: it forges nothing for others, and cannot take back what was seen', async (t) => {
  const { rig } = await attacked(t)
  const fleet = fleetOf(rig.home).root.fleet
  const pinned = (name: string) => history.pinnedKey(fleet, name)
  using history = new History(join(rig.home.dir, 'home', 'data', 'history.sqlite'))
  const read = (name: string): HostReceipts => {
    const db = new Database(join(rig.host(name).dir, 'journal.sqlite'), { readonly: true })
    const rows = db.prepare('SELECT number, bytes, signature FROM receipts ORDER BY number').all()
    db.close()
    return (rows as { number: number; bytes: Buffer; signature: string }[]).map((row) => ({
      ...row,
      bytes: row.bytes.toString(),
    }))
  }
  const good = read('web1')
  const [one, two] = good
  if (!one || !two) throw new Error('no receipts')
  t.same(compareReceipts('web1', good, fleet, history), [])
  const refused = { code: 'E_RECEIPT_INVALID' }
  t.throws(() => openReceipt(one.bytes, one.signature, 'web2', pinned('web2')), refused, 'as another host')
  const asWeb2 = one.bytes.replace('"host":"web1"', '"host":"web2"')
  t.throws(() => openReceipt(asWeb2, one.signature, 'web2', pinned('web2')), refused)
  const why = (receipts: HostReceipts) =>
    compareReceipts('web1', receipts, fleet, history)
      .map((broken) => broken.why)
      .join('; ')
  t.match(why([one]), /1 receipts, 2 were seen here: the last ones are missing/)
  t.match(why([two]), /1 is missing/)
  t.match(why([one, { ...two, bytes: two.bytes.replace('committed', 'aborted') }]), /signature/)
  t.match(why([]), /missing/)
  // It signs a history of its own anew: the key is right, the story is another.
  const db = new Database(join(rig.host('web1').dir, 'journal.sqlite'))
  const { keyFileSigner } = await import('../../shared/sshsig/key-file.ts')
  const signer = await keyFileSigner(join(rig.host('web1').dir, 'receipt_key'))
  const bytes = Buffer.from(two.bytes.replace('"result":"committed"', '"result":"aborted"'))
  const signature = await signer.sign('deployctl-receipt-v1', bytes)
  db.prepare('UPDATE receipts SET bytes = ?, signature = ?, digest = ? WHERE number = 2').run(
    bytes,
    signature,
    sha256Hex(bytes),
  )
  db.close()
  t.match(why(read('web1')), /the history was forked/)
  const verified = await rig.cli('history', '--verify')
  t.equal(verified.code, 5)
  t.match(verified.stdout, /✘ receipt 2 on web1: .*forked/)
  t.match(verified.stdout, /web2: 2 receipts, none missing, altered or forked/)
})

t.test('a second root of the same version: both sides stop and say so', async (t) => {
  const { rig, attacker } = await attacked(t, ['web1'])
  const own = await attacker.own()
  const { root } = attacker
  const theirs = { ...root, version: root.version + 1, expires: at(1000 * hour) }
  t.equal(await attacker.handRoot('web1', theirs, own), 'accepted')
  const renewed = await rig.cli('trust', 'renew')
  t.equal(renewed.code, 0, renewed.stderr)
  const pushed = await rig.cli('push')
  t.match(pushed, { code: 5, stderr: /E_ROOT_FORK .*Do not push/s })
})

t.test('a man in the middle: another host key stops the push', async (t) => {
  const { rig, unchanged } = await attacked(t)
  const file = join(rig.home.dir, 'known_hosts')
  const [web1, web2] = rig.hosts
  const lines = readFileSync(file, 'utf8').split('\n')
  const keyOfPort = (port = 0) =>
    lines
      .find((line) => line.includes(`:${port} `))
      ?.split(' ')
      .slice(1)
      .join(' ') ?? ''
  const changed = lines.map((line) =>
    line.includes(`:${web1?.port} `) ? `[127.0.0.1]:${web1?.port} ${keyOfPort(web2?.port)}` : line,
  )
  writeFileSync(file, changed.join('\n'))
  rig.version('v3')
  t.match(await rig.cli('push'), { code: 6, stderr: /E_HOST_KEY/ })
  t.ok(await unchanged())
})
