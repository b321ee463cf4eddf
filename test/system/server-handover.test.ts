import t from 'tap'
import { url } from '../rig/hosts/bare.ts'
import { serverWithFullService, streams } from '../rig/hosts/full-service.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

/** How many handovers each kind of load sees: 50 in all. */
const loads = [
  { name: 'one connection, kept', handovers: 10, mix: { kept: 1, fresh: 0, pauseMs: 0 } },
  { name: '64 kept ones and new ones', handovers: 12, mix: { kept: 64, fresh: 8, pauseMs: 10, ...streams } },
  {
    name: '512 kept ones and new ones',
    handovers: 10,
    mix: { kept: 512, fresh: 8, pauseMs: 250, ...streams },
  },
]
t.test('a service of systemd is handed over under load', { skip }, async (t) => {
  await using rig = await serverWithFullService()
  for (const { name, handovers, mix } of loads)
    await t.test(`${name}: no request fails`, async (t) => {
      await using asking = rig.load({ url, ...mix })
      const made: string[] = []
      for (let n = 0; n < handovers; n++) {
        made.push(rig.next())
        const { code, stdout, stderr } = await rig.laptop.cli('push')
        if (code !== 0 || !/committed by handover/.test(stdout)) t.fail(`${made.at(-1)}: ${stdout}${stderr}`)
      }
      const { good, bad, releases } = await asking.stop()
      t.same(bad, [])
      t.ok(good > handovers * 10, `${good} answers`)
      const missing = made.filter((version) => !releases[version])
      t.same(missing, [], 'each release had its share')
      t.equal((await rig.active()).length, 1)
      t.equal(await rig.processes(), 1, 'no process is left of the old ones')
    })
})
