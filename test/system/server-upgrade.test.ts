import t from 'tap'
import { addWeb1, bare, eventually, url } from '../rig/hosts/bare.ts'
import { cannotBoot, type TestHost } from '../rig/hosts/hosts.ts'
import { startLoad } from '../rig/load.ts'
import { makeProduct } from '../rig/product.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

const broken: [string, (program: string) => string][] = [
  ['ends at once', (program) => program.replace(/\n/, '\nprocess.exit(3);\n')],
  [
    'is never ready',
    (program) => program.replace(/\n/, '\nawait new Promise(() => setInterval(() => {}, 1000));\n'),
  ],
]

t.test('an agent is replaced while its services go on', { skip }, async (t) => {
  await using rig = await bare()
  const { web1, laptop } = rig
  const added = await laptop.cli(...addWeb1)
  t.equal(added.code, 0, added.stderr + added.stdout)
  t.equal((await laptop.cli('push')).code, 0)

  await t.test('the agent is upgraded under load, and no request is lost', async (t) => {
    const old = await web1.must('readlink', '/usr/lib/deployctl/current')
    laptop.use(makeProduct((program) => `${program}\n// another version\n`))
    await using load = startLoad({ url }, (argv) => rig.spawn(argv))
    const ran = await laptop.cli('host', 'upgrade', 'web1', '--as', 'root', '--yes')
    t.equal(ran.code, 0, ran.stderr + ran.stdout)
    const { good, bad } = await load.stop()
    t.same(bad, [])
    t.ok(good > 100, `${good} requests`)
    const now = await web1.must('readlink', '/usr/lib/deployctl/current')
    t.not(now, old)
    t.equal(await web1.must('readlink', '/usr/lib/deployctl/good'), now)
  })

  await t.test(
    'an agent that cannot start gives way to the one before, and services do not notice',
    async (t) => {
      const good = await web1.must('readlink', '/usr/lib/deployctl/current')
      const pid = await web1.must(
        'systemctl',
        'show',
        '-p',
        'MainPID',
        '--value',
        'deploy-echo@a.service',
        'deploy-echo@b.service',
      )
      for (const [how, change] of broken) {
        laptop.use(makeProduct(change))
        const ran = await laptop.cli('host', 'upgrade', 'web1', '--as', 'root', '--yes')
        t.match(ran, { code: 8, stderr: /E_AGENT_UPGRADE .*does not come up/s }, how)
        t.comment(`${how}: no agent for ${await agentGap(web1)} s`)
        t.equal(await web1.must('readlink', '/usr/lib/deployctl/current'), good)
        t.equal((await laptop.cli('status')).code, 0, 'the agent before answers')
      }
      // Nobody is there to look: the unit's own fallback does it.
      await web1.must(
        'sh',
        '-c',
        'mkdir /usr/lib/deployctl/versions/9.9.9-broken && ln -sfn versions/9.9.9-broken /usr/lib/deployctl/current && systemctl restart --no-block deploy-agent',
      )
      await eventually(async () => (await web1.must('readlink', '/usr/lib/deployctl/current')) === good)
      await eventually(async () => (await laptop.cli('status')).code === 0)
      t.equal(
        await web1.must(
          'systemctl',
          'show',
          '-p',
          'MainPID',
          '--value',
          'deploy-echo@a.service',
          'deploy-echo@b.service',
        ),
        pid,
      )
    },
  )
})

/** Seconds from the stop of the agent that ran last to the start of the one that runs now. */
async function agentGap(host: TestHost): Promise<number> {
  const log = await host.must('journalctl', '-u', 'deploy-agent', '-o', 'short-monotonic', '--no-pager')
  const times = [...log.matchAll(/^\[ *([\d.]+)\] .* (Started|Stopping) deploy-agent/gm)]
  const started = times.filter(([, , what]) => what === 'Started')
  const [, now = '0'] = started.at(-1) ?? []
  const [, before = '0'] = started.at(-2) ?? []
  const stopped = times.find(([, at = '0', what]) => what === 'Stopping' && Number(at) > Number(before))
  return Math.round((Number(now) - Number(stopped?.[1] ?? 0)) * 10) / 10
}
