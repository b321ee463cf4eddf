import t from 'tap'
import { addWeb1, bare, eventually, url } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { makeProduct } from '../rig/product.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

/** Every state of a deployment; in which release serves after the power was cut there. */
const cuts = [
  ...['staging', 'staged', 'checked', 'switching', 'switched', 'probation', 'draining'].flatMap((state) => [
    `${state} journalled`,
    `${state} done`,
  ]),
  'rolling-back journalled',
  'rolling-back done',
]

t.test(
  'a power cut in any state of a deployment leaves the committed release, whole',
  { skip },
  async (t) => {
    await using rig = await bare()
    const { web1, laptop } = rig
    laptop.use(makeProduct(undefined, 'test/fixtures/stalling-agent.ts'))
    const added = await laptop.cli(...addWeb1)
    if (added.code !== 0) throw new Error(added.stderr + added.stdout)
    t.equal((await laptop.cli('push')).code, 0)
    let last = 'v1'
    for (const [number, cut] of cuts.entries())
      await t.test(`cut in ${cut}`, async (t) => {
        await web1.must(
          'sh',
          '-c',
          `echo '${cut}' >/var/lib/deployctl/stall; chown deploy-agent /var/lib/deployctl/stall`,
        )
        const fresh = `v${number + 2}`
        laptop.version(cut.startsWith('rolling-back') ? 'sick' : fresh)
        const pushing = laptop.cli('push')
        await eventually(
          async () => (await web1.run('test', '-e', '/var/lib/deployctl/stall')).status !== 0,
          20,
        )
        await web1.powerCut()
        await eventually(async () => (await laptop.get(url)).startsWith(`${last} `))
        const settled = async () => {
          const { events } = await laptop.cli('status', '--json')
          const state = events.find(({ type }) => type === 'status')?.['state'] as {
            deploying: unknown
          } | null
          return state !== null && state !== undefined && state.deploying === null
        }
        await eventually(settled)
        const ran = await pushing
        t.not(ran.code, 0, 'the push says that it did not go well')
        t.equal((await laptop.get(url)).split(' ')[0], last)
        const running = await web1.must(
          'sh',
          '-c',
          'systemctl list-units --no-legend --state=active "deploy-echo@*" | wc -l',
        )
        t.equal(running, '1', 'one slot runs')
        laptop.version(fresh)
        const next = await laptop.cli('push')
        t.equal(next.code, 0, `the next push works: ${next.stderr}`)
        last = fresh
      })
    t.equal((await laptop.cli('history', '--verify')).code, 0)
  },
)
