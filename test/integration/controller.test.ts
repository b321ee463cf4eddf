import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import t, { type Test } from 'tap'
import { makeController, type TestController } from '../rig/controller.ts'
import { makeRig, type Rig } from '../rig/rig.ts'
import { secondPerson } from '../rig/second-person.ts'

const names = ['web1', 'web2', 'web3']
const day = 86_400_000

/** A mail server that keeps what it is given. */
async function mailServer(t: Test) {
  const mails: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, _session, done) {
      let text = ''
      stream.setEncoding('utf8').on('data', (more: string) => (text += more))
      stream.on('end', () => {
        mails.push(text)
        done()
      })
    },
  })
  const listening = server.listen(0, '127.0.0.1')
  await new Promise((resolve) => listening.once('listening', resolve))
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const address = listening.address()
  return { mails, port: typeof address === 'object' && address ? address.port : 0 }
}

/** Three hosts, somebody who pushes, and a controller with a key that can only carry out what was agreed to. */
async function makeFleet(t: Test) {
  const rig = await makeRig(t, names)
  const mail = await mailServer(t)
  const extra = `notify:
  - { mail: [ops@example.com], from: deployctl@example.com, smtp: 'smtp://127.0.0.1:${mail.port}' }
`
  rig.configure({ extra })
  t.equal((await rig.cli('push')).code, 0)
  const night = secondPerson(rig, 'night')
  const key = (await night.cli('trust', 'key')).stdout.trim()
  const admitted = await rig.cli(
    'trust',
    'add-key',
    'night',
    key,
    '--roles',
    'schedule',
    '--login',
    `${night.loginKey}.pub`,
  )
  t.equal(admitted.code, 0, admitted.stderr)
  t.equal((await rig.cli('trust', 'publish')).code, 0)
  const joined = await night.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')
  t.match(joined.stdout, /you are night: schedule/, joined.stderr)
  const world = { now: Date.now() }
  const home = { dir: night.dir, configDir: join(night.dir, 'home', 'config'), env: night.env }
  const controller = await makeController(home, null, { now: () => world.now })
  t.teardown(() => controller[Symbol.asyncDispose]())
  rig.home.env['DEPLOYCTL_CONTROLLER'] = await controller.listen()
  rig.home.env['DEPLOYCTL_TOKEN'] = controller.token('admin')
  return { rig, night, world, controller, mails: mail.mails, extra }
}

/** Looks at the clock as the controller does, and waits for what that begins. */
async function sweep({ daemon }: TestController) {
  daemon.scheduler.sweep()
  await daemon.scheduler.idle()
}

const serving = (rig: Rig) => Promise.all(names.map((name) => rig.get(name)))
const lastRun = ({ daemon }: TestController, name: string) => daemon.site.history.schedules.runs(name, 1)[0]

t.test('schedules on real hosts', async (t) => {
  const { rig, night, world, controller, mails, extra } = await makeFleet(t)
  const add = async (name: string, cron: string, ...more: string[]) => {
    const ran = await rig.cli('schedule', 'add', name, cron, '--time-zone', 'UTC', ...more)
    t.equal(ran.code, 0, ran.stderr)
  }
  /** To just after the next time of a schedule. */
  const advance = async () => {
    const soon = await rig.cli('schedule', 'next', '--json')
    world.now = Math.max(world.now, Math.min(...soon.events.map(({ at }) => Date.parse(String(at))))) + 1000
  }

  await t.test('what somebody agreed to is deployed at its time, by a key that can do no more', async (t) => {
    rig.version('v2')
    const published = await rig.cli('publish', '-m', 'for the night')
    t.equal(published.code, 0, published.stderr)
    t.match(published.stdout, /→ stable\nmay be deployed until/)
    await add('nightly', '0 3 * * *', '--canary', '1', '--bake', '0')
    await sweep(controller)
    t.strictSame(await serving(rig), ['v1', 'v1', 'v1'], 'not before its time')
    await advance()
    await sweep(controller)
    t.match(lastRun(controller, 'nightly'), { state: 'done', why: /on 3 hosts/ }, controller.said.join('\n'))
    t.strictSame(await serving(rig), ['v2', 'v2', 'v2'])
    const history = await rig.cli('history', '--verify')
    t.equal(history.code, 0, history.stdout)
    t.match(
      (await rig.cli('schedule', 'list')).stdout,
      /nightly +0 3 \* \* \* UTC +deploy the newest of stable.*done/,
    )
    t.match((await rig.cli('schedule', 'history', 'nightly')).stdout, /03:00 UTC +done +[0-9a-f]{8}/)
  })

  await t.test('what nobody agreed to, its key cannot bring', async (t) => {
    night.checkOut()
    writeFileSync(join(night.project, 'version.txt'), 'by-night\n')
    const ran = await night.cli('push')
    t.equal(ran.code, 5, ran.stderr)
    t.strictSame(await serving(rig), ['v2', 'v2', 'v2'])
  })

  await t.test('the same again is no work; asked for, it runs at once', async (t) => {
    t.equal((await rig.cli('schedule', 'run', 'nightly')).code, 0)
    await sweep(controller)
    t.match(lastRun(controller, 'nightly'), { state: 'done', why: /runs already/ })
  })

  await t.test('a release that is not well goes back, and who is to know is told by mail', async (t) => {
    rig.version('sick')
    t.equal((await rig.cli('publish')).code, 0)
    world.now += day
    await sweep(controller)
    t.match(lastRun(controller, 'nightly'), { state: 'failed', why: /E_ROLLED_BACK|E_PROBE_FAILED/ })
    t.strictSame(await serving(rig), ['v2', 'v2', 'v2'])
    const isTold = (mail: string) => /^Subject: .*schedule/ms.test(mail)
    for (let n = 0; n < 100 && !mails.some(isTold); n++) await delay(50)
    const failed = mails.find(isTold) ?? ''
    t.match(failed, /^From: deployctl@example.com/m)
    t.match(failed, /deployctl schedule history nightly/)
    t.ok(
      mails.some((mail) => /It is safe: the old release serves/.test(mail.replaceAll('=\r\n', ''))),
      mails.join('\n---\n'),
    )
  })

  await t.test('a host that was away is caught up with, by its schedule', async (t) => {
    rig.version('v3')
    t.equal((await rig.cli('publish')).code, 0)
    const web3 = rig.host('web3')
    await web3.kill()
    await add('careful', '0 5 * * *', '--skip-unreachable')
    await add('behind', '0 6 * * *', '--do', 'catch-up')
    t.equal((await rig.cli('schedule', 'pause', 'nightly')).code, 0)
    await advance()
    await sweep(controller)
    t.match(lastRun(controller, 'careful'), { state: 'done', why: /on 2 hosts/ })
    await web3.start()
    rig.configure({ extra })
    t.equal((await rig.cli('publish')).code, 0, 'its address is another one now')
    await advance()
    await sweep(controller)
    t.match(lastRun(controller, 'behind'), { state: 'done', why: /on 1 hosts/ })
    t.strictSame(await serving(rig), ['v3', 'v3', 'v3'])
    for (const name of ['careful', 'behind']) t.equal((await rig.cli('schedule', 'remove', name)).code, 0)
  })

  await t.test(
    'where two must agree, one alone cannot publish, and what both signed is deployed',
    async (t) => {
      const ben = secondPerson(rig, 'ben')
      const key = (await ben.cli('trust', 'key')).stdout.trim()
      t.equal((await rig.cli('trust', 'add-key', 'ben', key, '--login', `${ben.loginKey}.pub`)).code, 0)
      const policy = ['trust', 'policy', '--services', 'echo', '--hosts', '*']
      t.equal((await rig.cli(...policy, '--approvals', '2')).code, 0)
      t.equal((await rig.cli('trust', 'publish')).code, 0)
      t.equal((await ben.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')).code, 0)
      rig.version('by-two')
      t.match(await rig.cli('publish'), { code: 5, stderr: /E_APPROVALS.*only you/ })
      const file = join(rig.home.dir, 'two.request.json')
      const asked = await rig.cli('push', '--request', file)
      t.equal(asked.code, 0, asked.stderr)
      const early = await rig.cli('publish', '--approved', file)
      t.equal(early.code, 5, 'nobody has signed it yet')
      ben.checkOut()
      const agreed = await ben.cli('approve', file, '--yes')
      t.equal(agreed.code, 0, agreed.stderr)
      t.match(await rig.cli('publish', '--approved', file), {
        code: 5,
        stderr: /E_APPROVALS.*agreement of 2 people; it has that of: ben/,
      })
      t.equal((await rig.cli('schedule', 'resume', 'nightly')).code, 0)
      t.equal((await rig.cli('approve', file, '--yes')).code, 0)
      t.equal((await rig.cli('publish', '--approved', file)).code, 0)
      t.equal((await rig.cli('schedule', 'run', 'nightly')).code, 0)
      await sweep(controller)
      t.match(lastRun(controller, 'nightly'), { state: 'done' }, controller.said.join('\n'))
      t.strictSame(await serving(rig), ['by-two', 'by-two', 'by-two'])
      t.equal((await rig.cli(...policy)).code, 0)
      t.equal((await rig.cli('trust', 'publish')).code, 0)
      t.equal((await rig.cli('rollback', '--yes')).code, 0)
      t.equal((await rig.cli('schedule', 'pause', 'nightly')).code, 0)
    },
  )

  await t.test('hosts keep the windows of a policy and the days of a calendar, whoever pushes', async (t) => {
    // A window of one minute in the week that is not now.
    const other = new Date(Date.now() + 3 * day)
      .toLocaleDateString('en', { weekday: 'short', timeZone: 'UTC' })
      .toLowerCase()
    const policy = await rig.cli(
      'trust',
      'policy',
      '--services',
      'echo',
      '--hosts',
      '*',
      '--windows',
      `${other} 00:00-00:01 UTC`,
    )
    t.equal(policy.code, 0, policy.stderr)
    t.match(policy.stdout, new RegExp(`only ${other} 00:00-00:01 UTC`))
    t.equal((await rig.cli('trust', 'publish')).code, 0)
    rig.version('v4')
    t.match(await rig.cli('push'), {
      code: 5,
      stderr: new RegExp(`E_OUTSIDE_WINDOW.*${other} 00:00-00:01 UTC`),
    })
    t.equal((await rig.cli('publish')).code, 0)
    t.equal((await rig.cli('schedule', 'resume', 'nightly')).code, 0)
    t.equal((await rig.cli('schedule', 'run', 'nightly')).code, 0)
    await sweep(controller)
    t.match(lastRun(controller, 'nightly'), { state: 'failed', why: /E_OUTSIDE_WINDOW/ })
    t.equal((await rig.cli('push', '--despite-freeze', '-m', 'it burns')).code, 0)
    t.equal((await rig.cli('rollback', '--yes')).code, 0, 'going back is always possible')
    t.strictSame(await serving(rig), ['v3', 'v3', 'v3'])
    t.equal((await rig.cli('trust', 'policy', '--services', 'echo', '--hosts', '*')).code, 0)
    t.equal((await rig.cli('trust', 'publish')).code, 0)

    const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')
    const file = join(rig.home.dir, 'holidays.ics')
    writeFileSync(
      file,
      `BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:the fair\r\nDTSTART;VALUE=DATE:${stamp(Date.now())}\r\nDTEND;VALUE=DATE:${stamp(Date.now() + day)}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`,
    )
    const frozen = await rig.cli('freeze', '--calendar', file, '--time-zone', 'UTC')
    t.equal(frozen.code, 0, frozen.stderr)
    t.match(frozen.stdout, /the fair\n.*echo is frozen at these times on web1, web2, web3/s)
    t.match(await rig.cli('push'), { code: 5, stderr: /E_FROZEN.*the fair/ })
    t.equal((await rig.cli('rollback', '--yes')).code, 0)
  })

  await t.test('it prunes and verifies its own record', async (t) => {
    await add('tidy', '0 4 * * *', '--do', 'prune', '--keep-days', '1')
    await add('audit', '0 4 * * *', '--do', 'verify-history')
    for (const name of ['tidy', 'audit']) t.equal((await rig.cli('schedule', 'run', name)).code, 0)
    await sweep(controller)
    t.match(lastRun(controller, 'tidy'), { state: 'done', why: /rows and \d+ releases removed/ })
    t.match(lastRun(controller, 'audit'), { state: 'done', why: /orders and \d+ receipts are good/ })
  })

  rmSync(join(night.dir, 'home', 'data', 'releases'), { recursive: true, force: true })
})
