import t from 'tap'
import { handingOverRig } from '../rig/handing-over.ts'
import { startLoad } from '../rig/load.ts'
import { makeRig, settled, type Ran, type Rig } from '../rig/rig.ts'

/** Every state of a deployment, and the release that serves when the agent dies there and comes back. */
const deaths: [string, 'v1' | 'v2'][] = [
  ['staging journalled', 'v1'],
  ['staging done', 'v1'],
  ['staged journalled', 'v1'],
  ['staged done', 'v1'],
  ['checked journalled', 'v1'],
  ['checked done', 'v1'],
  ['switching journalled', 'v1'],
  ['switching done', 'v1'],
  ['switched journalled', 'v1'],
  ['switched done', 'v1'],
  // In probation the new release is healthy: the controller's confirm may still come in time.
  ['probation journalled', 'v2'],
  ['probation done', 'v2'],
  // It was confirmed: what is left is to let the old one finish.
  ['draining journalled', 'v2'],
  ['draining done', 'v2'],
]

/** Pushes to an agent that dies in this state and comes back. */
async function pushAndDie(rig: Rig, version: string, death: string): Promise<Ran> {
  const host = rig.host('web1')
  await host.kill()
  await host.start(death)
  rig.version(version)
  const pushing = rig.cli('push')
  await host.ended()
  await host.start()
  return pushing
}

for (const [death, serves] of deaths)
  t.test(`an agent killed in ${death} leaves ${serves}, whole, and says what happened`, async (t) => {
    const rig = await makeRig(t)
    t.equal((await rig.cli('push')).code, 0)
    const ran = await pushAndDie(rig, 'v2', death)
    const state = await settled(rig, 'web1')
    t.equal(await rig.get('web1'), serves, `${ran.stdout}${ran.stderr}`)
    t.match(state.instances, [{ state: 'running', release: state.active }])
    t.equal(state.instances.length, 1)
    const told = serves === 'v2' ? [0] : [7, 8]
    t.ok(told.includes(ran.code ?? -1), `the push ends with ${ran.code}: ${ran.stderr}`)
    t.equal((await rig.cli('history', '--verify')).code, 0)
    rig.version('v3')
    t.equal((await rig.cli('push')).code, 0, 'and the next push works')
    t.equal(await rig.get('web1'), 'v3')
  })

t.test('an agent killed at any moment of a handover costs no request', async (t) => {
  for (const death of ['switching done', 'switched done', 'probation done', 'draining journalled'])
    await t.test(death, async (t) => {
      const rig = await handingOverRig(t)
      const { addresses } = await rig.state('web1')
      await using load = startLoad({ url: `http://${addresses['http']}/`, kept: 8, fresh: 4 })
      await pushAndDie(rig, 'v2', death)
      const state = await settled(rig, 'web1')
      t.match(state.instances, [{ state: 'running', release: state.active }])
      t.equal(state.instances.length, 1)
      const { good, bad } = await load.stop()
      t.same(bad, [])
      t.ok(good > 50, `${good} answers`)
    })
})

for (const death of ['rolling-back journalled', 'rolling-back done'])
  t.test(`an agent killed in ${death} goes on going back`, async (t) => {
    const rig = await makeRig(t)
    t.equal((await rig.cli('push')).code, 0)
    const { code, stderr } = await pushAndDie(rig, 'sick', death)
    t.equal(code, 8, stderr)
    await settled(rig, 'web1')
    t.equal(await rig.get('web1'), 'v1')
  })

t.test('services go on while the agent is away', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  const { addresses } = await rig.state('web1')
  await rig.host('web1').kill()
  const answer = await fetch(`http://${addresses['http']}/`, { headers: { connection: 'close' } })
  t.match(await answer.text(), /^v1/)
  const ran = await rig.cli('status')
  t.equal(ran.code, 6)
  await rig.host('web1').start()
  t.equal((await rig.cli('status')).code, 0)
})
