import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeRig, settled } from '../rig/rig.ts'
import { secondPerson } from '../rig/second-person.ts'

const names = ['web1', 'web2', 'web3']
const batches = ['--canary', '1', '--bake', '2', '--batch', '1']

/** What the driver of a rollout had just written down when it died; what is to come of it when somebody attaches. */
const deaths: [string, RegExp][] = [
  ['the canary is begun', /"type":"rollout".*"state":"canary"/],
  ['the canary is at work', /"host":"web1".*"type":"state","data":\{"state":"switching"/],
  ['the canary waits for its confirm', /"host":"web1".*"type":"state","data":\{"state":"probation"/],
  ['the canary has ended', /"type":"result","host":"web1"/],
  ['the canary is watched', /"type":"rollout".*"state":"baking"/],
  ['the second batch is begun', /"type":"rollout".*"state":"batch","batch":2/],
  ['the last host is at work', /"host":"web3".*"type":"state","data":\{"state":"staging"/],
]

t.test('a rollout whose driver is killed is finished by whoever attaches', async (t) => {
  const rig = await makeRig(t, names)
  const serving = () => Promise.all(names.map((name) => rig.get(name)))
  t.equal((await rig.cli('push')).code, 0)
  const ben = secondPerson(rig, 'ben')
  const key = await ben.cli('trust', 'key')
  t.equal(
    (await rig.cli('trust', 'add-key', 'ben', key.stdout.trim(), '--login', `${ben.loginKey}.pub`)).code,
    0,
  )
  t.equal((await rig.cli('trust', 'publish')).code, 0)
  t.equal((await ben.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')).code, 0)
  ben.checkOut()
  const file = join(ben.project, 'deploy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(rig.home.loginKey, ben.loginKey))

  let release = 1
  for (const [when, pattern] of deaths) {
    await t.test(`killed when ${when}: another person, from another directory`, async (t) => {
      const version = `v${(release += 1)}`
      rig.version(version)
      const pushing = rig.begin('push', '--json', ...batches)
      await pushing.says(pattern)
      pushing.signal('SIGKILL')
      const { stdout } = await pushing.ended
      const id = /"type":"rollout","id":"([0-9a-f]{32})"/.exec(stdout)?.[1] ?? ''
      const ran = await ben.cli('rollout', 'attach', id.slice(0, 8))
      if (ran.code === 5) {
        // It died before any host had its order: there is nothing to finish.
        t.match(ran.stderr, /E_ROLLOUT_UNKNOWN/)
        t.match(when, /is begun|is at work/)
        t.equal(await rig.get('web3'), `v${release - 1}`)
        t.equal((await rig.cli('push')).code, 0)
      } else t.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`)
      for (const name of names) await settled(rig, name)
      t.strictSame(
        await serving(),
        names.map(() => version),
      )
      t.match((await ben.cli('status')).stdout, /web3 .*running/)
    })
    if (/is begun|confirm|watched/.test(when))
      await t.test(`killed when ${when}: the same person`, async (t) => {
        const version = `v${(release += 1)}`
        rig.version(version)
        const pushing = rig.begin('push', '--json', ...batches)
        await pushing.says(pattern)
        pushing.signal('SIGKILL')
        await pushing.ended
        const ran = await rig.cli('rollout', 'attach', '--take')
        t.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`)
        t.strictSame(
          await serving(),
          names.map(() => version),
        )
        t.match((await rig.cli('rollout', 'list')).stdout, /done +3 committed/)
        t.equal((await rig.cli('history', '--verify')).code, 0)
      })
  }

  await t.test('killed while it takes everything back', async (t) => {
    rig.version('sick@web2')
    const pushing = rig.begin(
      'push',
      '--json',
      '--canary',
      '1',
      '--bake',
      '0',
      '--batch',
      '1',
      '--on-failure',
      'roll-back-all',
    )
    await pushing.says(/"type":"rollout".*"state":"rolling-back"/)
    pushing.signal('SIGKILL')
    const { stdout } = await pushing.ended
    const id = /"type":"rollout","id":"([0-9a-f]{32})"/.exec(stdout)?.[1] ?? ''
    const ran = await ben.cli('rollout', 'attach', id)
    t.equal(ran.code, 8, `${ran.stdout}${ran.stderr}`)
    t.strictSame(
      await serving(),
      names.map(() => `v${release}`),
    )
  })
})
