import t from 'tap'
import { hotRig } from '../rig/hot.ts'
import { startLoad } from '../rig/load.ts'

const everything = {
  kept: 16,
  fresh: 4,
  large: 2,
  slow: 2,
  webSockets: 2,
  eventStreams: 2,
  pauseMs: 5,
  keepsStreams: true,
}

t.test('releases follow each other in the running program, under load', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  await using load = startLoad({ url: await rig.url(), ...everything })
  // As many as one likes: SWAPS=50.
  const swaps = Number(process.env['SWAPS'] ?? 6)
  const names = Array.from({ length: swaps }, (_, n) => `v${n + 2}`)
  for (const name of names) {
    const { code, stdout, stderr } = await rig.swap(name)
    t.equal(code, 0, stderr)
    t.match(stdout, /committed by hot/)
  }
  const { good, bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.ok(good > 100, `${good} answers`)
  t.same(Object.keys(releases).sort(), ['v1', ...names].sort(), 'each release had its share')
  t.equal(reconnects, 0, 'no stream was ended')
  const after = await rig.own()
  t.match(after, { began: before.began, pid: before.pid, release: names.at(-1) })
  t.ok(after.requests > before.requests && after.ticks > before.ticks, 'nothing of its state is lost')
})
