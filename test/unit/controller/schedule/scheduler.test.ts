import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { History } from '../../../../controller/history/history.ts'
import type { ScheduleRun } from '../../../../controller/history/schedules.ts'
import type { Schedule } from '../../../../controller/schedule/schedule-schema.ts'
import { Scheduler, type RunEnd } from '../../../../controller/schedule/scheduler.ts'

const minute = 60_000
const hour = 60 * minute
const start = Date.parse('2026-11-22T00:00:30Z')

const hourly: Schedule = {
  name: 'hourly',
  cron: '0 * * * *',
  timeZone: 'UTC',
  service: 'shop',
  environment: 'production',
  action: { do: 'deploy', channel: 'stable' },
  lateSeconds: 3600,
  jitterSeconds: 0,
  isPaused: false,
}

/** A database on disk, a clock of our own, and as many controllers as one likes. */
function makeWorld(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-schedule-'))
  const file = join(dir, 'history.sqlite')
  const histories: History[] = []
  t.teardown(() => {
    for (const history of histories) history[Symbol.dispose]()
    rmSync(dir, { recursive: true })
  })
  const world = {
    now: start,
    closed: null as string | null,
    ran: [] as string[],
    ended: [] as ScheduleRun[],
    /** What a run waits for before it ends. */
    until: Promise.resolve() as Promise<unknown>,
    open() {
      const history = new History(file)
      histories.push(history)
      return history
    },
    controller(end: RunEnd = { state: 'done', why: null }) {
      const { schedules } = world.open()
      return new Scheduler({
        schedules,
        now: () => world.now,
        async carryOut(spec, run) {
          world.ran.push(`${spec.name} ${new Date(run.slot).toISOString().slice(0, 16)} ${run.rollout}`)
          await world.until
          return end
        },
        closed: () => world.closed,
        newRolloutId: () => `r${world.ran.length + 1}`,
        onEnd: (_, run) => world.ended.push(run),
        onProblem: (text) => t.fail(text),
      })
    },
  }
  return world
}

t.test('a slot is run once, when it is due, whatever the clock does', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  const controller = world.controller()
  const at = async (ms: number) => {
    world.now = ms
    controller.sweep()
    controller.sweep()
    await controller.idle()
  }
  await at(start + 10 * minute)
  t.strictSame(world.ran, [])
  await at(start + 59.5 * minute)
  t.strictSame(world.ran, ['hourly 2026-11-22T01:00 r1'])
  await at(start + 50 * minute)
  await at(start + hour)
  t.equal(world.ran.length, 1, 'turned back by ten minutes, it comes to the same slot again')
  await at(start + 3 * hour + minute)
  t.strictSame(world.ran.slice(1), ['hourly 2026-11-22T03:00 r2'], 'ahead by two hours')
  await at(start - 400 * 24 * hour)
  await at(start + 4 * hour)
  t.strictSame(world.ran.slice(2), ['hourly 2026-11-22T04:00 r3'], 'more than a year off, and put right')
  t.match(
    schedules.runs('hourly', 10).map(({ slot, state }) => [new Date(slot).getUTCHours(), state]),
    [
      [4, 'done'],
      [3, 'done'],
      [2, 'missed'],
      [1, 'done'],
    ],
  )
})

t.test('two controllers by mistake: each slot is run by one of them', async (t) => {
  const world = makeWorld(t)
  world.open().schedules.add({ ...hourly, cron: '* * * * *' }, start)
  const two = [world.controller(), world.controller()]
  for (let n = 1; n <= 60; n++) {
    world.now = start + n * minute
    for (const one of two.toSorted(() => Math.random() - 0.5)) one.sweep()
    for (const one of two) await one.idle()
  }
  t.equal(world.ran.length, 60)
  t.equal(new Set(world.ran.map((run) => run.slice(0, 23))).size, 60)
})

t.test('killed in a run, the next process goes on with it, under the same rollout', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  world.now = start + hour
  let release = () => {}
  world.until = new Promise<void>((resolve) => (release = resolve))
  const dying = world.controller()
  dying.sweep()
  t.equal(schedules.open()[0]?.state, 'running')
  const next = world.controller()
  next.sweep()
  t.equal(world.ran.length, 1, 'one that lives keeps its run')
  world.now += 11_000
  next.sweep()
  t.strictSame(world.ran, ['hourly 2026-11-22T01:00 r1', 'hourly 2026-11-22T01:00 r1'])
  release()
  await Promise.all([dying.idle(), next.idle()])
  t.match(schedules.runs('hourly', 10), [{ state: 'done', rollout: 'r1' }])
})

t.test('one that was thought dead and was not cannot end what another goes on with', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  const releases: (() => void)[] = []
  const wait = () => (world.until = new Promise<void>((resolve) => releases.push(resolve)))
  const [slow, other] = [world.controller({ state: 'failed', why: 'it was taken over' }), world.controller()]
  schedules.ask('hourly', world.now)
  void wait()
  slow.sweep()
  // The clock jumps, so that the beat of the first looks old.
  world.now += hour / 2
  void wait()
  other.sweep()
  t.equal(world.ran.length, 2)
  releases[0]?.()
  await slow.idle()
  t.match(schedules.open(), [{ state: 'running' }])
  releases[1]?.()
  await other.idle()
  t.match(schedules.runs('hourly', 1), [{ state: 'done' }])
})

t.test('a run that lasts past the next slot keeps that from beginning', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  let release = () => {}
  world.until = new Promise<void>((resolve) => (release = resolve))
  const controller = world.controller()
  world.now = start + hour
  controller.sweep()
  world.now = start + 2 * hour
  controller.sweep()
  release()
  await controller.idle()
  t.match(schedules.runs('hourly', 10), [{ state: 'skipped', why: /under way/ }, { state: 'done' }])
})

t.test('frozen, it waits as long as late is late, and says so', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  const controller = world.controller()
  world.closed = 'frozen until Monday'
  world.now = start + hour
  controller.sweep()
  t.match(schedules.open(), [{ state: 'waiting' }])
  world.closed = null
  world.now += 10 * minute
  controller.sweep()
  await controller.idle()
  t.equal(world.ran.length, 1)
  world.closed = 'frozen until Monday'
  world.now = start + 2 * hour
  controller.sweep()
  world.now = start + 3 * hour
  controller.sweep()
  world.now += minute
  controller.sweep()
  t.match(
    world.ended.find(({ slot }) => slot === Date.parse('2026-11-22T02:00Z')),
    {
      state: 'missed',
      why: 'frozen until Monday',
    },
  )
})

t.test('paused, nothing is run then or made up for later; removed, what waits is let go', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add({ ...hourly, isPaused: true }, start)
  const controller = world.controller()
  world.now = start + hour
  controller.sweep()
  schedules.change(hourly)
  world.now += 10 * minute
  controller.sweep()
  await controller.idle()
  t.strictSame(world.ran, [])
  world.closed = 'frozen'
  schedules.ask('hourly', world.now)
  schedules.remove('hourly')
  controller.sweep()
  t.match(schedules.runs(null, 1), [{ state: 'skipped', why: 'the schedule was removed' }])
})

t.test('what goes wrong is kept with the run', async (t) => {
  const world = makeWorld(t)
  const { schedules } = world.open()
  schedules.add(hourly, start)
  const controller = world.controller({ state: 'failed', why: 'two hosts failed' })
  schedules.ask('hourly', world.now)
  controller.sweep()
  await controller.idle()
  t.match(world.ended, [{ state: 'failed', why: 'two hosts failed' }])
  t.throws(() => schedules.add(hourly, 0), { code: 'E_SCHEDULE_EXISTS' })
  t.throws(() => schedules.remove('other'), { code: 'E_SCHEDULE_UNKNOWN' })
})
