import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { addWeb1, eventually, url } from '../rig/hosts/bare.ts'
import { bootHosts, cannotBoot } from '../rig/hosts/hosts.ts'
import { makeLaptop } from '../rig/hosts/laptop.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)
const own = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')
const address = 'root@10.77.0.12'
const port = '8701'

t.test('a controller on a server of its own', { skip }, async (t) => {
  await using rig = await bootHosts(['web1', 'ctl'], [own])
  const laptop = await makeLaptop(rig)
  const ctl = rig.hosts[1]
  if (!ctl) throw new Error('no host')
  t.equal((await laptop.cli(...addWeb1)).code, 0)
  t.equal((await laptop.cli('push')).code, 0)

  const dry = await laptop.cli('controller', 'install', address, '--dry-run')
  t.match(
    dry.stdout,
    /make the system user deploy-controller[^]*write \/etc\/systemd\/system\/deploy-controller\.service/,
  )
  t.equal((await ctl.run('systemctl', 'status', 'deploy-controller')).status, 4, 'nothing was done')
  const installed = await laptop.cli('controller', 'install', address, '--yes', '--json')
  t.equal(installed.code, 0, `${installed.stdout}${installed.stderr}`)
  const told = installed.events.find(({ type }) => type === 'controller') as
    | { files: { signing: string; login: string }; token: string }
    | undefined
  if (!told) throw new Error('it did not say what it is')
  const env = { DEPLOYCTL_CONTROLLER: `http://127.0.0.1:${port}`, DEPLOYCTL_TOKEN: told.token }

  await t.test('hardened as the agent is, and open to itself only', async (t) => {
    const unit = 'deploy-controller.service'
    t.equal(await ctl.must('systemctl', 'show', '-p', 'ActiveState', '--value', unit), 'active')
    const line = (await ctl.must('systemd-analyze', 'security', '--no-pager', unit)).split('\n').at(-1) ?? ''
    t.ok(Number(/: ([\d.]+)/.exec(line)?.[1]) < 1.5, line)
    t.match(await laptop.get('http://10.77.0.12:8700/healthz'), /ECONNREFUSED/)
    t.equal(await ctl.must('stat', '-c', '%a %U', '/var/lib/deploy-controller'), '700 deploy-controller')
  })

  const { signing, login } = told.files
  const admitted = await laptop.cli(
    'trust',
    'add-key',
    'controller',
    signing,
    '--roles',
    'schedule',
    '--login',
    login,
  )
  t.equal(admitted.code, 0, admitted.stderr)
  t.equal((await laptop.cli('trust', 'publish')).code, 0)

  const way = laptop.start('open', address, '--local', port)
  const closed = once(way, 'close')
  await eventually(async () => (await laptop.cliWith(env, 'token', 'list')).code === 0)

  await t.test('a schedule fires there, in the middle of whatever else', async (t) => {
    laptop.version('v2')
    const published = await laptop.cliWith(env, 'publish', '-m', 'for whenever')
    t.equal(published.code, 0, published.stderr)
    const added = await laptop.cliWith(env, 'schedule', 'add', 'often', '* * * * *', '--time-zone', 'UTC')
    t.equal(added.code, 0, added.stderr)
    await eventually(async () => (await laptop.get(url)).startsWith('v2 '), 90)
    await eventually(async () =>
      /done/.test((await laptop.cliWith(env, 'schedule', 'history', 'often')).stdout),
    )
    const log = await ctl.must('journalctl', '-u', 'deploy-controller', '-o', 'cat')
    t.match(log, /often .*: done, .* on 1 hosts/)
    t.notMatch(log, /dpl_\w{12}_/)
  })

  await t.test(
    'killed, it comes back and knows what it knew; installed again, it is left as it is',
    async (t) => {
      await ctl.must('systemctl', 'kill', '-s', 'KILL', 'deploy-controller')
      await eventually(async () => (await laptop.cliWith(env, 'schedule', 'list')).stdout.includes('often'))
      const again = await laptop.cli('controller', 'install', address, '--yes')
      t.equal(again.code, 0, again.stderr)
      t.match(again.stdout, /everything is as it should be/)
      t.match(readFileSync(signing, 'utf8'), /^ssh-ed25519 /)
      await eventually(async () => (await laptop.cliWith(env, 'token', 'list')).code === 0, 30)
    },
  )

  way.kill('SIGTERM')
  await closed
})
