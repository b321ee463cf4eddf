import t from 'tap'
import { eventually, url } from '../rig/hosts/bare.ts'
import { serverWithFullService, streams } from '../rig/hosts/full-service.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

const faults: [version: string, says: RegExp][] = [
  ['crash', /it ended \(exit 3\)/],
  ['mute', /it does not listen on http \(port 8080\) yet/],
  ['dies', /it ended \(exit 4\)/],
  ['sick', /http \/: 500/],
  ['sick-chatty', /http \/: 500/],
  ['sick-forks', /http \/: 500/],
]
const deaths = ['switching done', 'switched done', 'probation done', 'draining journalled', 'draining done']

t.test('whatever goes wrong in a handover, the service answers', { skip }, async (t) => {
  await using rig = await serverWithFullService()
  const { web1, laptop, active, processes, load } = rig
  let last = 'v1'
  const next = () => (last = rig.next())

  await t.test('the private sockets are for the agent alone', async (t) => {
    const [unit = ''] = (await active())[0]?.split(' ') ?? []
    const slot = unit.includes('@a') ? 'a' : 'b'
    const path = `/var/lib/deployctl/private/echo.${slot}`
    const connect = `require('net').connect('${path}').on('connect',()=>process.exit(0)).on('error',e=>{console.log(e.code);process.exit(1)})`
    const node = '/usr/lib/deployctl/current/bin/node'
    t.match(await web1.run('runuser', '-u', 'grace', '--', node, '-e', connect), { stdout: /EACCES/ })
    t.equal(
      (await web1.run('runuser', '-u', 'deploy-agent', '-g', 'deployctl', '--', node, '-e', connect)).status,
      0,
    )
  })

  await t.test('a release that is not well takes no request', async (t) => {
    await using asking = load({ url, kept: 8, fresh: 4, ...streams })
    for (const [version, says] of faults) {
      laptop.version(version)
      const { code, stderr } = await laptop.cli('push')
      t.equal(code, 8, `${version}: ${stderr}`)
      t.match(stderr, says)
      t.match(stderr, /Production is safe/)
    }
    const { bad, releases, reconnects } = await asking.stop()
    t.same(bad, [])
    t.same(Object.keys(releases), [last])
    t.equal(reconnects, 0)
    t.equal(await processes(), 1)
    t.equal((await web1.run('systemctl', '--failed', '--no-legend')).stdout, '')
  })

  for (const death of deaths)
    await t.test(`the agent is killed in ${death}`, async (t) => {
      await using asking = load({ url, kept: 8, fresh: 4 })
      const stall = '/var/lib/deployctl/stall'
      await web1.must('sh', '-c', `echo '${death}' >${stall}; chown deploy-agent ${stall}`)
      const before = last
      next()
      const pushing = laptop.cli('push')
      await eventually(async () => (await web1.run('test', '-e', stall)).status !== 0, 20)
      await web1.must('systemctl', 'kill', '-s', 'KILL', 'deploy-agent')
      await web1.run('systemctl', 'reset-failed', 'deploy-agent')
      await pushing
      await eventually(async () => {
        const { events } = await laptop.cli('status', '--json')
        const state = events.find(({ type }) => type === 'status')?.['state'] as { deploying: unknown } | null
        return state?.deploying === null
      })
      const { bad } = await asking.stop()
      t.same(bad, [])
      const serves = (await laptop.get(url)).split(' ')[0]
      t.ok([before, last].includes(serves ?? ''), `${serves} serves`)
      last = serves ?? ''
      t.equal((await active()).length, 1)
    })

  await t.test('one that ignores its end is killed, and the push says what that cut', async (t) => {
    laptop.version('stubborn')
    t.equal((await laptop.cli('push')).code, 0)
    const hanging = rig.run([process.execPath, '-e', `fetch('${url}hang').catch(()=>{})`])
    next()
    const { code, stdout, stderr } = await laptop.cli('push')
    t.equal(code, 0, stderr)
    t.match(stdout, /was killed after 5(\.\d)?s.*1 request/s)
    await hanging
    t.equal(await processes(), 1)
  })

  await t.test('after a reboot the committed release comes up, and nothing is held', async (t) => {
    await web1.reboot()
    await eventually(async () => (await laptop.get(url)).startsWith(last))
    t.equal((await active()).length, 1)
    next()
    t.equal((await laptop.cli('push')).code, 0)
    t.ok((await laptop.get(url)).startsWith(last))
  })
})
