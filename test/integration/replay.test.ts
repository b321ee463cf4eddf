import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeDocument } from '../../shared/documents/document.ts'
import { asDeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Type, parserOf } from '../../shared/schema.ts'
import { Attacker } from '../rig/attacker.ts'
import { makeRig } from '../rig/rig.ts'

const replaying = new URL('../fixtures/replaying-agent.ts', import.meta.url).pathname
const anything = parserOf(Type.Unknown())

t.test('every order that was ever taken is refused in every state of a deployment', async (t) => {
  const rig = await makeRig(t)
  const web1 = rig.host('web1')
  await web1.kill()
  await web1.startAs(replaying)
  for (const version of ['v1', 'v2', 'sick', 'v3']) {
    rig.version(version)
    t.equal((await rig.cli('push')).code, version === 'sick' ? 8 : 0, version)
  }
  t.equal((await rig.cli('rollback')).code, 0)
  const lines = readFileSync(join(web1.dir, 'replays.log'), 'utf8').trim().split('\n')
  const seen = new Set(lines.map((line) => line.split(' ').slice(0, 2).join(' ')))
  const states = ['staging', 'staged', 'checked', 'switching', 'switched', 'probation', 'rolling-back']
  for (const state of states)
    for (const moment of ['journalled', 'done']) t.ok(seen.has(`${state} ${moment}`), `${state} ${moment}`)
  const answers = new Set(lines.map((line) => line.split(' ').at(-1) ?? ''))
  t.comment(`${lines.length} replays: ${[...answers].join(', ')}`)
  t.same(
    [...answers].filter((answer) => !/^E_(ORDER_(CHALLENGE|REPLAYED|SEQ|PREV)|BUSY)$/.test(answer)),
    [],
  )
  // After a restart too, when nothing is under way.
  await web1.kill()
  await web1.start()
  t.equal(await rig.get('web1'), 'v2')
})

t.test('an order of which a single bit was changed is refused by a running agent', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  const attacker = await Attacker.of(rig)
  const { seq } = await rig.state('web1')
  const bytes = encodeDocument(await attacker.order('web1'))
  const own = await attacker.own()
  const signatures = [await own.sign(namespaces.order, bytes)]
  const codes = new Map<string, number>()
  await attacker.with('web1', async ({ client }) => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const copy = Buffer.from(bytes)
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const request = { order: copy.toString('latin1'), signatures, environment: attacker.environment }
      const code = await client
        .post('/v1/orders', anything, 'application/json', JSON.stringify(request))
        .then(
          () => 'accepted',
          (error: unknown) => asDeployError(error).code,
        )
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
  })
  t.same([...codes], [['E_SIGNATURE_INVALID', bytes.length * 8]])
  t.equal((await rig.state('web1')).seq, seq)
})
