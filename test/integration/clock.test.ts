import { existsSync, globSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Attacker } from '../rig/attacker.ts'
import { keyOf, makePeople } from '../rig/people.ts'
import { missingPackage } from '../rig/packages.ts'
import { makeRig, runCli, type Rig } from '../rig/rig.ts'

const skip = missingPackage('/usr/bin/faketime', 'faketime')
if (skip) t.comment(`skipped: ${skip}`)

/** What moves a program's wall clock; its monotonic one goes on as it does. */
function clockMoved(days: number): NodeJS.ProcessEnv {
  const [library = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
  if (!existsSync(library)) throw new Error('libfaketime is not where it was expected')
  return { LD_PRELOAD: library, FAKETIME: `${days < 0 ? '' : '+'}${days}d`, DONT_FAKE_MONOTONIC: '1' }
}

async function restartAt(rig: Rig, days: number) {
  const web1 = rig.host('web1')
  await web1.kill()
  web1.env = days === 0 ? {} : clockMoved(days)
  await web1.start()
}

const pushAt = (rig: Rig, days: number) =>
  runCli(rig.project, { ...rig.home.env, ...clockMoved(days) }, ['push'])

t.test(
  'a clock that is 400 days off stops orders in words, on either side, and harms nothing',
  { skip },
  async (t) => {
    const rig = await makeRig(t)
    t.equal((await rig.cli('push')).code, 0)
    for (const days of [400, -400]) {
      rig.version(`laptop${days}`)
      t.match(
        await pushAt(rig, days),
        { code: 7, stderr: /E_ORDER_EXPIRED .*the host's clock says/ },
        `laptop ${days}`,
      )
      t.equal(await rig.get('web1'), 'v1')
    }
    await restartAt(rig, 400)
    t.equal(await rig.get('web1'), 'v1', 'it goes on serving')
    t.match(await rig.cli('push'), { code: 7, stderr: /E_ORDER_EXPIRED/ })
    t.match((await rig.cli('doctor')).stdout, /its clock is \d{8} s ahead/)
    t.equal(await rig.get('web1'), 'v1')
    await restartAt(rig, 0)
    rig.version('v2')
    t.equal((await rig.cli('push')).code, 0, 'with the right time all is well again')
    t.equal((await rig.cli('history', '--verify')).code, 0)
  },
)

t.test('a root that has run out stops the laptop before anything is sent', { skip }, async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const late = await pushAt(rig, 6 * 366)
  t.match(late, { code: 5, stderr: /E_ROOT_EXPIRED .*trust rotate.*set it/s })
  t.equal(await rig.get('web1'), 'v1')
})

t.test('turning the clock back does not bring a key back that has run out', { skip }, async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  const attacker = await Attacker.of(rig)
  const { old } = await makePeople('old')
  const { root } = attacker
  const notAfter = new Date(Date.now() + 3000).toISOString()
  const keys = [...root.keys, keyOf(old, ['release', 'order'], { notAfter })]
  t.equal(await attacker.handRoot('web1', { ...root, version: 2, keys }, await attacker.own()), 'accepted')
  await attacker.with('web1', async () => {})
  await delay(3100)
  rig.version('v2')
  t.equal((await rig.cli('push')).code, 0, 'an order after that moment')
  t.equal(await attacker.send('web1', await attacker.order('web1'), old.signer), 'E_SIGNER_UNKNOWN')
  await restartAt(rig, -400)
  const then = Date.now() - 400 * 24 * 3_600_000
  const backThen = {
    notBefore: new Date(then).toISOString(),
    expires: new Date(then + 300_000).toISOString(),
  }
  t.match(
    await attacker.send('web1', await attacker.order('web1', backThen), old.signer),
    /^E_(SIGNER_UNKNOWN|ORDER_EXPIRED)$/,
  )
  t.equal(await attacker.send('web1', await attacker.order('web1'), old.signer), 'E_SIGNER_UNKNOWN')
  t.equal(await rig.get('web1'), 'v2')
})
