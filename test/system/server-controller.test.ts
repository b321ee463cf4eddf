import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { addWeb1, eventually, url } from '../rig/hosts/bare.ts'
import { commandsOf } from '../rig/chapter.ts'
import { bootHosts, cannotBoot, type TestHost } from '../rig/hosts/hosts.ts'
import { makeLaptop } from '../rig/hosts/laptop.ts'
import { missingPackage } from '../rig/packages.ts'

const skip = cannotBoot() || missingPackage('/usr/bin/faketime', 'faketime')
const [library = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
if (skip) t.comment(`skipped: ${skip}`)
const own = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')
const address = 'root@10.77.0.12'
const port = '8701'
/** How far into a minute the controller's clock is set: time is left to add a schedule. */
const minuteEnds = 38

/**
 * Has the controller's clock show that a minute ends in some seconds: no further than the minute by which hosts
 * let clocks differ. Gives the minute that comes.
 */
async function soon(ctl: TestHost): Promise<{ minute: number; hour: number }> {
  const seconds = () => Math.floor(Date.now() / 1000) % 60
  while (seconds() > 30) await delay(500)
  const ahead = minuteEnds - seconds()
  const dropIn = '/etc/systemd/system/deploy-controller.service.d'
  const lines = `[Service]\nEnvironment=LD_PRELOAD=${library}\nEnvironment=FAKETIME=+${ahead}s\nEnvironment=DONT_FAKE_MONOTONIC=1\n`
  await ctl.must('sh', '-c', 'mkdir -p "$1" && printf "%s" "$2" >"$1/clock.conf"', 'sh', dropIn, lines)
  await ctl.must('systemctl', 'daemon-reload')
  await ctl.must('systemctl', 'restart', 'deploy-controller')
  const next = new Date(Date.now() + 60_000)
  return { minute: next.getUTCMinutes(), hour: next.getUTCHours() }
}

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
  const [install = [], addKey = [], publish = []] = commandsOf('controller.md', 'On a server of its own').map(
    ({ words }) => words.map((word) => (word === 'root@deploy.example.com' ? address : word)),
  )
  t.match([install[1], addKey[1], publish[1]], ['install', 'add-key', 'publish'])
  const installed = await laptop.cli(...install, '--yes', '--json')
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
  const files: Record<string, string> = { 'signing.pub': signing, 'login.pub': login }
  const admitted = await laptop.cli(...addKey.map((word) => files[word] ?? word))
  t.equal(admitted.code, 0, admitted.stderr)
  t.equal((await laptop.cli(...publish)).code, 0)

  const way = laptop.start('open', address, '--local', port)
  const closed = once(way, 'close')
  await eventually(async () => (await laptop.cliWith(env, 'token', 'list')).code === 0)

  await t.test('a schedule fires there at its time', async (t) => {
    laptop.version('v2')
    const published = await laptop.cliWith(env, 'publish', '-m', 'for whenever')
    t.equal(published.code, 0, published.stderr)
    const { minute, hour } = await soon(ctl)
    await eventually(async () => (await laptop.cliWith(env, 'schedule', 'list')).code === 0)
    const cron = `${minute} ${hour} * * *`
    const added = await laptop.cliWith(env, 'schedule', 'add', 'daily', cron, '--time-zone', 'UTC')
    t.equal(added.code, 0, added.stderr)
    await eventually(async () => (await laptop.get(url)).startsWith('v2 '), 40)
    await eventually(async () =>
      /done/.test((await laptop.cliWith(env, 'schedule', 'history', 'daily')).stdout),
    )
    const log = await ctl.must('journalctl', '-u', 'deploy-controller', '-o', 'cat')
    t.match(log, /daily .*: done, .* on 1 hosts/)
    t.notMatch(log, /dpl_\w{12}_/)
  })

  await t.test(
    'killed, it comes back and knows what it knew; installed again, it is left as it is',
    async (t) => {
      await ctl.must('systemctl', 'kill', '-s', 'KILL', 'deploy-controller')
      await eventually(async () => (await laptop.cliWith(env, 'schedule', 'list')).stdout.includes('daily'))
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
