import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { makeMany } from '../test/rig/many.ts'
import { cpuOf, memoryOf } from './lib/measure.ts'

/**
 * A controller under a fleet that moves all the time, for an hour: a new release published each minute, a
 * schedule that deploys it each minute, 50 clients who watch live and read pages. Prints its memory each minute.
 * `--minutes 60`, `--hosts 20`.
 */
const option = (name: string, fallback: number) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : Number(process.argv[index + 1])
}
const minutes = option('minutes', 60)
const count = option('hosts', 20)
const clients = 50
const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname

await using many = await makeMany(count, at('bin/deployctl.cjs'))
const must = async (...args: string[]) => {
  const { code, stderr } = await many.cli(...args)
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${stderr}`)
}
await must('push')
await must('publish')
await must('schedule', 'add', 'often', '* * * * *', '--time-zone', 'UTC', '--canary', '1', '--bake', '5')
await must(
  'schedule',
  'add',
  'tidy',
  '*/10 * * * *',
  '--time-zone',
  'UTC',
  '--do',
  'prune',
  '--keep-days',
  '1',
)
// With the bounds that its unit has.
const flags = ['--max-semi-space-size=8', '--max-old-space-size=512']
const serve = [...flags, at('dist/deployctl.js'), 'serve', '--port', '0', '--json']
const controller = spawn(process.execPath, serve, {
  cwd: many.project,
  env: { ...many.home.env, MALLOC_ARENA_MAX: '2' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const pid = controller.pid ?? 0
let [done, failed] = [0, 0]
const output = createInterface({ input: controller.stdout })
output.on('line', (line) => {
  const told = JSON.parse(line) as { line?: string }
  if (/^often .*: done/.test(told.line ?? '')) done += 1
  if (/^often .*: (?:failed|missed|skipped)/.test(told.line ?? '')) failed += 1
})
const [first] = (await once(output, 'line')) as [string]
const { link } = JSON.parse(first) as { link: string }
const [base = '', token = ''] = link.split('/#token=')
const headers = { authorization: `Bearer ${token}` }
for (let n = 0; n < clients; n++) {
  const { body } = await fetch(`${base}/api/v1/live`, { headers })
  void body?.pipeTo(new WritableStream()).catch(() => {})
}
console.log('minute  memory  CPU s  runs done  not done')
for (let minute = 1; minute <= minutes; minute++) {
  many.version(`v${minute}`)
  await must('publish')
  const end = performance.now() + 55_000
  while (performance.now() < end) {
    for (const path of ['/fleet', '/rollouts', '/history', '/schedules/calendar'])
      await (await fetch(`${base}/api/v1${path}`, { headers })).arrayBuffer()
    await delay(2_000)
  }
  const memory = `${memoryOf(pid, 'VmRSS').toFixed(0)} MB`
  console.log(
    `${String(minute).padEnd(8)}${memory.padEnd(8)}${(cpuOf(pid) / 1000).toFixed(1).padEnd(7)}${String(done).padEnd(11)}${failed}`,
  )
}
controller.kill('SIGTERM')
await new Promise((resolve) => controller.once('close', resolve))
process.exit(0)
