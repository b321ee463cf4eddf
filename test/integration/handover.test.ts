import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { useFullService } from '../rig/handing-over.ts'
import { startLoad } from '../rig/load.ts'
import { makeRig, type Rig } from '../rig/rig.ts'

const everything = { kept: 16, fresh: 4, large: 2, slow: 2, webSockets: 2, eventStreams: 2, pauseMs: 5 }

async function fullRig(t: Test, stop = '{ seconds: 4, longConnections: close }'): Promise<Rig> {
  const rig = await makeRig(t)
  await useFullService(rig.project)
  const file = join(rig.project, 'deploy.yaml')
  const text = readFileSync(file, 'utf8')
  const sockets = '  sockets: [{ name: http, host: 127.0.0.1, port: 0 }, { name: deployctl, private: true }]'
  writeFileSync(file, text.replace(/ {2}sockets: .*/, `${sockets}\n  stop: ${stop}`))
  t.equal((await rig.cli('push')).code, 0)
  return rig
}

const urlOf = async (rig: Rig) => `http://${(await rig.state('web1')).addresses['http']}/`

t.test('releases follow each other under load, and no request fails', async (t) => {
  const rig = await fullRig(t)
  await using load = startLoad({ url: await urlOf(rig), ...everything })
  const versions = Array.from({ length: 6 }, (_, n) => `v${n + 2}`)
  for (const version of versions) {
    rig.version(version)
    const { code, stdout, stderr } = await rig.cli('push')
    t.equal(code, 0, stderr)
    t.match(stdout, /committed by handover/)
  }
  const { good, bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.ok(good > 100, `${good} answers`)
  t.same(Object.keys(releases).sort(), ['v1', ...versions], 'each release had its share')
  t.ok(reconnects >= versions.length * 4, `${reconnects} streams came back`)
  t.equal((await rig.state('web1')).instances.length, 1)
})

const faults: [version: string, says: RegExp][] = [
  ['crash', /E_SERVICE_START .*it ended \(exit 3\)/],
  ['mute', /E_PROBE_FAILED .*it does not listen on http yet/],
  ['dies', /E_SERVICE_START .*it ended \(exit 4\)/],
  ['sick', /E_PROBE_FAILED .*http \/: 500/],
  ['sick-chatty', /E_PROBE_FAILED/],
]

t.test('a release that is not well takes no request: the old one serves throughout', async (t) => {
  const rig = await fullRig(t)
  const file = join(rig.project, 'deploy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('minHealthySeconds: 0.1', 'minHealthySeconds: 0.4'))
  const url = await urlOf(rig)
  const before = (await (await fetch(url)).text()).trim()
  await using load = startLoad({ url, ...everything })
  for (const [version, says] of faults)
    await t.test(version, async (t) => {
      rig.version(version)
      const { code, stderr } = await rig.cli('push')
      t.equal(code, 8, stderr)
      t.match(stderr, says)
      t.match(stderr, /Production is safe/)
      t.equal((await (await fetch(url)).text()).trim(), before, 'the very same process')
      t.equal((await rig.state('web1')).instances.length, 1)
    })
  const { bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.same(Object.keys(releases), ['v1'])
  t.equal(reconnects, 0, 'no stream was ended either')
})
