import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { sources } from '../rig/host.ts'
import { hotRig } from '../rig/hot.ts'
import { runCli, type Rig } from '../rig/rig.ts'

type Told = Record<string, any>

/** The command, running; what it tells is awaited by its type. */
function startWatch(t: Test, { project, home }: Rig, ...args: string[]) {
  const child = spawn(process.execPath, [sources.cli, 'watch', '--json', ...args], {
    cwd: project,
    env: home.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const told: Told[] = []
  let wake = () => {}
  createInterface(child.stdout).on('line', (line) => {
    told.push(JSON.parse(line) as Told)
    wake()
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    ended,
    end: () => child.kill('SIGINT'),
    all: told,
    async next(type: string): Promise<Told> {
      for (;;) {
        const at = told.findIndex((one) => one['type'] === type)
        if (at >= 0) return told.splice(0, at + 1).at(-1) as Told
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}

t.test('what is saved is live at once; what is wrong is said at once, and changes nothing', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  const watch = startWatch(t, rig)
  t.match(await watch.next('watching'), { hosts: ['web1'], gates: [] })
  rig.code('v2')
  const round = await watch.next('round')
  t.match(round, { error: null, hosts: [{ host: 'web1', result: 'committed', strategy: 'hot' }] })
  t.ok(
    round['liveMs'] > round['builtMs'] && round['ms'] > round['liveMs'],
    `live after ${round['liveMs']} ms`,
  )
  t.match(await rig.own(), { release: 'v2', pid: before.pid, began: before.began })
  rig.code('v3', (app) => `${app}\nnull.x\n`)
  t.match(await watch.next('round'), { error: { code: 'E_ABORTED' }, hosts: [{ result: 'aborted' }] })
  rig.code('v3', (app) => `${app}\nlet = ;\n`)
  t.match(await watch.next('round'), { error: { code: 'E_BUILD_MODULE', message: /app\.mjs:\d+/ } })
  t.match(await rig.own(), { release: 'v2', pid: before.pid })
  for (let n = 0; n < 20; n++) rig.code(`burst${n}`)
  let last = await watch.next('round')
  let rounds = 1
  while ((await rig.own()).release !== 'burst19') {
    last = await watch.next('round')
    rounds += 1
  }
  t.match(last, { error: null })
  t.ok(rounds <= 3, `20 saves in ${rounds} rounds`)
  t.match(await rig.own(), { pid: before.pid, began: before.began })
  watch.end()
  t.equal(await watch.ended, 0)
})

t.test('a gate that is shut keeps the code out, and is left out only by name', async (t) => {
  const rig = await hotRig(t)
  const yaml = join(rig.project, 'deploy.yaml')
  const gate = `watch: { gates: { tests: [node, -e, "if (!require('fs').readFileSync('release.mjs', 'utf8').includes('good')) { console.log('not good'); process.exit(3) }"] } }\n`
  writeFileSync(yaml, readFileSync(yaml, 'utf8') + gate)
  const watch = startWatch(t, rig)
  await watch.next('watching')
  rig.code('v2')
  t.match(await watch.next('round'), {
    error: { code: 'E_GATE_FAILED' },
    gates: [{ name: 'tests', ok: false, status: '3' }],
  })
  rig.code('good')
  t.match(await watch.next('round'), { error: null, gates: [{ ok: true }] })
  t.match(await rig.own(), { release: 'good' })
  watch.end()
  await watch.ended
  const wrong = await runCli(rig.project, rig.home.env, ['watch', '--skip', 'test'])
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /deploy\.yaml has the gates tests/)
  const free = startWatch(t, rig, '--skip', 'tests')
  t.match(await free.next('watching'), { gates: [] })
  rig.code('v3')
  t.match(await free.next('round'), { error: null })
})

t.test('a protected environment is not watched', async (t) => {
  const rig = await hotRig(t)
  const yaml = join(rig.project, 'deploy.yaml')
  writeFileSync(
    yaml,
    readFileSync(yaml, 'utf8').replace('  production:\n', '  production:\n    protected: true\n'),
  )
  const { code, stderr } = await runCli(rig.project, rig.home.env, ['watch'])
  t.equal(code, 5)
  t.match(stderr, /E_WATCH_PROTECTED.*production is protected/)
})
