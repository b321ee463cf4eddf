import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { append, eventually, hotRig, isUntouched } from '../rig/hot.ts'

const moments: [when: string, ends: 'v1' | 'v2'][] = [
  ['staged done', 'v1'],
  ['switching journalled', 'v1'],
  ['switching done', 'v1'],
  ['draining journalled', 'v2'],
  ['draining done', 'v2'],
]
for (const [when, ends] of moments)
  t.test(
    `an agent that dies when it has ${when} leaves one whole release, in the same process`,
    async (t) => {
      const rig = await hotRig(t)
      const before = await rig.own()
      const host = rig.host('web1')
      await host.kill()
      await host.start(when)
      const pushed = rig.swap('v2')
      await host.ended()
      await host.start()
      await pushed
      await isUntouched(t, rig, before, ends)
      const { active } = await rig.state('web1')
      t.equal(typeof active, 'string')
      t.match((await rig.swap('v3')).stdout, /committed by hot/)
      await isUntouched(t, rig, before, 'v3')
    },
  )

t.test('going back by a new process has the time that a start has', async (t) => {
  const rig = await hotRig(t)
  const yaml = join(rig.project, 'deploy.yaml')
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace('deadlineSeconds: 1', 'deadlineSeconds: 20'))
  t.equal(
    (
      await rig.swap(
        'v2',
        append('if (process.uptime() < 1) await new Promise((go) => setTimeout(go, 3500))'),
      )
    ).code,
    0,
  )
  const { code, stderr } = await rig.swap('v3', append('setTimeout(() => process.exit(9), 150)'))
  t.equal(code, 8, stderr)
  t.equal((await eventually(() => rig.own())).release, 'v2')
})

t.test('transformed code that is not that of its source is refused by the host', async (t) => {
  const rig = await hotRig(t)
  await rig.swap('v2')
  const before = await rig.own()
  // Somebody got at what the laptop keeps of modules it has read; the key that signs is the right one.
  const dir = join(String(rig.home.env['DEPLOYCTL_HOME']), 'cache/modules')
  for (const name of readdirSync(dir)) {
    const text = readFileSync(join(dir, name), 'utf8')
    t.match(text, "'v2'")
    writeFileSync(join(dir, name), text.replaceAll("'v2'", "'evil'"))
  }
  writeFileSync(join(rig.project, 'README.md'), 'so that there is something to push')
  const { code, stderr } = await rig.cli('push')
  t.equal(code, 7, stderr)
  t.match(stderr, /E_HOT_GRAPH .*of release\.mjs what is not so/)
  await isUntouched(t, rig, before, 'v2')
})

t.test('a program that runs other code than was released is found out', async (t) => {
  const rig = await hotRig(t)
  await rig.swap('v2')
  t.match((await rig.cli('status')).stdout, /running, 1 swap, 2 modules as released/)
  const { active } = await rig.state('web1')
  const tree = join(rig.host('web1').dir, 'releases/echo', String(active))
  const module = join(tree, '.deployctl/hot/release.mjs')
  const text = readFileSync(module, 'utf8')
  rmSync(module)
  writeFileSync(module, text.replace("'v2'", "'x2'"))
  process.kill((await rig.own()).pid, 'SIGKILL')
  t.equal((await eventually(() => rig.own())).release, 'x2')
  t.match((await rig.cli('status')).stdout, /RUNS OTHER CODE: release\.mjs/)
})

t.test('code that timers hold is let go by a handover, in the end', async (t) => {
  const rig = await hotRig(t)
  const holding = append('setInterval(() => release, 1e6)')
  const { active } = await rig.state('web1')
  const first = join(rig.host('web1').dir, 'releases/echo', String(active))
  let pushes = 0
  let told = ''
  while (!told.includes('"strategy":"handover"') && pushes < 20) {
    pushes += 1
    rig.code(`v${pushes + 1}`, holding)
    if (pushes === 9) t.ok(existsSync(first), 'what the process was started with is kept')
    told = (await rig.cli('push', '--json')).stdout
  }
  t.match(told, /not hot: timers, listeners or closures hold the code of 11 former releases \(app\.mjs/)
  t.ok(pushes > 10, `${pushes} pushes`)
  t.match((await rig.swap('last')).stdout, /committed by hot/, 'and a new process begins afresh')
})
