import { globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { History } from '../../controller/history/history.ts'
import type { ScheduleRun } from '../../controller/history/schedules.ts'
import { missingPackage } from '../rig/packages.ts'
import { beginCli, makeRig, type Rig } from '../rig/rig.ts'

const names = ['web1', 'web2', 'web3']

function openHistory(t: Test, rig: Rig): History {
  const history = new History(join(rig.home.env['DEPLOYCTL_HOME'] ?? '', 'data', 'history.sqlite'))
  t.teardown(() => history[Symbol.dispose]())
  return history
}

async function until(what: () => boolean, seconds = 40): Promise<void> {
  for (const deadline = performance.now() + seconds * 1000; performance.now() < deadline; await delay(10))
    if (what()) return
  throw new Error(`not within ${seconds} s: ${what.toString()}`)
}

async function serve(t: Test, rig: Rig, env: NodeJS.ProcessEnv = {}) {
  const args = ['serve', '--port', '0', '--no-link', '--json']
  const controller = beginCli(rig.project, { ...rig.home.env, ...env }, args)
  t.teardown(() => controller.signal('SIGKILL'))
  await controller.says(/"type":"serving"/)
  return controller
}

t.test(
  'a controller that is killed in a scheduled rollout: the next one goes on, nothing is done twice',
  async (t) => {
    const rig = await makeRig(t, names)
    rig.configure({ minHealthySeconds: 0.5 })
    t.equal((await rig.cli('push')).code, 0)
    const added = await rig.cli(
      'schedule',
      'add',
      'job',
      '0 3 * * *',
      '--canary',
      '1',
      '--bake',
      '2',
      '--batch',
      '1',
    )
    t.equal(added.code, 0, added.stderr)
    const history = openHistory(t, rig)
    const stateOf = ({ rollout }: ScheduleRun) => history.rollouts.load(rollout ?? '')?.rollout
    const last = () => history.schedules.runs('job', 1)[0]
    const deaths: [string, (run: ScheduleRun) => boolean][] = [
      ['it has taken the run, and nothing else', ({ state }) => state === 'running'],
      ['the canary is at work', (run) => stateOf(run)?.hosts['web1'] === 'deploying'],
      ['the last host is at work', (run) => stateOf(run)?.hosts['web3'] === 'deploying'],
    ]
    let release = 1
    for (const [when, isThen] of deaths)
      await t.test(`killed when ${when}`, async (t) => {
        const version = `v${(release += 1)}`
        rig.version(version)
        t.equal((await rig.cli('publish')).code, 0)
        const dying = await serve(t, rig)
        t.equal((await rig.cli('schedule', 'run', 'job')).code, 0)
        await until(() => {
          const run = last()
          return run !== undefined && isThen(run)
        })
        dying.signal('SIGKILL')
        await dying.ended
        const next = await serve(t, rig)
        await until(() => last()?.ended !== null, 60)
        const run = last()
        t.match(run, { state: 'done' }, run?.why ?? '')
        for (const name of names) t.equal(await rig.get(name), version)
        const own = history.rollouts
          .list('echo', null, 50)
          .filter(({ release }) => release === history.published.list('echo', null, null, 1)[0]?.release)
        t.strictSame(
          own.map(({ id }) => id),
          [run?.rollout],
          'one rollout, that of the run',
        )
        next.signal('SIGTERM')
        t.equal((await next.ended).code, 0)
      })
  },
)

const skip = missingPackage('/usr/bin/faketime', 'faketime')
if (skip) t.comment(`skipped: ${skip}`)

t.test('the clock of a running controller jumps, forward and back', { skip }, async (t) => {
  const rig = await makeRig(t)
  t.equal(
    (await rig.cli('schedule', 'add', 'hourly', '0 * * * *', '--time-zone', 'UTC', '--do', 'prune')).code,
    0,
  )
  const history = openHistory(t, rig)
  const offset = join(rig.home.dir, 'offset')
  const hour = 3_600_000
  const noon = Math.ceil(Date.now() / (24 * hour)) * 24 * hour + 12 * hour
  /** From now on its clock shows this, and goes on. */
  const show = (ms: number) =>
    writeFileSync(offset, `${ms >= Date.now() ? '+' : ''}${Math.round((ms - Date.now()) / 1000)}\n`)
  show(noon - 4_000)
  const [library = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
  await serve(t, rig, {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: offset,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  })
  const runs = () =>
    history.schedules
      .runs('hourly', 20)
      .toReversed()
      .filter(({ slot }) => slot >= noon)
      .map(({ slot, state }) => `${new Date(slot).getUTCHours()} ${state}`)
  const told = (...expected: string[]) => until(() => runs().join() === expected.join(), 20)
  await told('12 done')
  show(noon - 600_000)
  await delay(6_000)
  t.strictSame(runs(), ['12 done'], 'turned back, nothing is run again')
  show(noon + hour - 2_000)
  await told('12 done', '13 done')
  show(noon + 4 * hour + 1_000)
  await told('12 done', '13 done', '14 missed', '15 missed', '16 done')
  t.pass('ahead by three hours, only the newest is run')
})
