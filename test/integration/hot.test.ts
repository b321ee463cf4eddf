import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { append, eventually, hotRig, isUntouched } from '../rig/hot.ts'
import { startLoad } from '../rig/load.ts'

const everything = {
  kept: 16,
  fresh: 4,
  large: 2,
  slow: 2,
  webSockets: 2,
  eventStreams: 2,
  pauseMs: 5,
  keepsStreams: true,
}

t.test('releases follow each other in the running program, under load', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  await using load = startLoad({ url: await rig.url(), ...everything })
  // As many as one likes: SWAPS=50.
  const swaps = Number(process.env['SWAPS'] ?? 6)
  const names = Array.from({ length: swaps }, (_, n) => `v${n + 2}`)
  for (const name of names) {
    const { code, stdout, stderr } = await rig.swap(name)
    t.equal(code, 0, stderr)
    t.match(stdout, /committed by hot/)
  }
  const { good, bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.ok(good > 100, `${good} answers`)
  t.same(Object.keys(releases).sort(), ['v1', ...names].sort(), 'each release had its share')
  t.equal(reconnects, 0, 'no stream was ended')
  const after = await rig.own()
  t.match(after, { began: before.began, pid: before.pid, release: names.at(-1) })
  t.ok(after.requests > before.requests && after.ticks > before.ticks, 'nothing of its state is lost')
})

t.test('code that cannot be loaded changes nothing, and the message names module and line', async (t) => {
  const rig = await hotRig(t)
  await rig.swap('v2')
  const before = await rig.own()
  const faults: [string, RegExp][] = [
    [`null.x`, /E_SWAP_PREPARE .* app\.mjs:\d+: TypeError: Cannot read properties of null/],
    [`await new Promise(() => {})`, /app\.mjs: Error: it did not come to an end within 2 s/],
    [`for (;;) {}`, /stood still/],
    [`process.exit(1)`, /app\.mjs:\d+: Error: it called process\.exit\(1\)/],
    [`const all = []; for (;;) all.push(new Array(1e4).fill(0))`, /more than 100 MB/],
    [`import { nothing } from './release.mjs'`, /does not provide an export named 'nothing'/],
  ]
  for (const [text, says] of faults) {
    const { code, stderr } = await rig.swap('v3', append(text))
    t.equal(code, 7, stderr)
    t.match(stderr, says)
    t.match(stderr, /Production is untouched/)
    await isUntouched(t, rig, before, 'v2')
  }
  t.equal((await rig.swap('v3', append('let x = ;'))).code, 4, 'what is no JavaScript is not even sent')
  t.equal((await rig.swap('v4')).code, 0)
  await isUntouched(t, rig, before, 'v4')
})

t.test('what is sick goes back within the process', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  await using load = startLoad({ url: await rig.url(), kept: 4, webSockets: 2, keepsStreams: true })
  const { code, stderr } = await rig.swap('sick')
  t.equal(code, 8, stderr)
  t.match(stderr, /E_PROBE_FAILED .*500/)
  await isUntouched(t, rig, before, 'v1')
  t.equal((await load.stop()).reconnects, 0)
})

const migrated = (app: string) =>
  app.replace('export const version = 1', 'export const version = 2').concat(`
export const codeChange = (state) => ({ ...state, lines: ['moved'] })
export const codeChangeDown = ({ lines, ...state }) => state
`)

t.test('a state moves to its next version, and back by a rollback', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  rig.code('v2', migrated)
  const plan = await rig.cli('plan')
  t.match(plan.stdout, /hot, sends/)
  t.match(plan.stdout, /2 modules are evaluated anew in the running program: app\.mjs, release\.mjs/)
  t.match(plan.stdout, /app\.mjs waits for its calls, and its state goes from version 1 to 2/)
  t.match(plan.stdout, /until that moment the old code is untouched/)
  t.match((await rig.cli('push')).stdout, /committed by hot/)
  await isUntouched(t, rig, before, 'v2')
  t.match(await rig.own(), { lines: ['moved'] })
  t.match((await rig.cli('rollback', '--yes')).stdout, /committed by hot/)
  await isUntouched(t, rig, before, 'v1')
  t.notOk('lines' in (await rig.own()))
  rig.code('v3', (app) => migrated(app).replace('codeChange =', 'none ='))
  const { stdout } = await rig.cli('plan')
  t.match(stdout, /handover, sends/)
  t.match(
    stdout,
    /not hot: the state of app\.mjs goes from version 1 to 2, and there is no codeChange in app\.mjs/,
  )
  rig.code('v3', (app) =>
    migrated(app).replace(
      '({ ...state, lines',
      '{ throw new Error("stuck") }; (state) => ({ ...state, lines',
    ),
  )
  const failed = await rig.cli('push')
  t.equal(failed.code, 8, failed.stderr)
  t.match(failed.stderr, /E_SWAP_COMMIT .*app\.mjs:\d+: Error: stuck/)
  await isUntouched(t, rig, before, 'v1')
})

t.test('what cannot be hot is handed over, and says why', async (t) => {
  const rig = await hotRig(t)
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(rig.project, path)), { recursive: true })
    writeFileSync(join(rig.project, path), text)
  }
  const entry = readFileSync(join(rig.project, 'main.mjs'), 'utf8')
  const cases: [what: string, path: string, text: string, why: RegExp][] = [
    [
      'the entry',
      'main.mjs',
      `${entry}\n// changed\n`,
      /not hot: main\.mjs is loaded at the start of the program/,
    ],
    [
      'a dependency',
      'node_modules/@own/dep/index.js',
      'exports.x = 1',
      /not hot: the dependency @own\/dep changed/,
    ],
    ['an unknown file', 'prices.csv', 'a,1', /not hot: prices\.csv changed, and who reads it is not known/],
  ]
  for (const [what, path, text, why] of cases)
    await t.test(what, async (t) => {
      const { pid } = await rig.own()
      write(path, text)
      const refused = await rig.cli('push', '--strategy', 'hot')
      t.equal(refused.code, 7, refused.stderr)
      t.match(refused.stderr, /what was asked for cannot be/)
      t.match((await rig.cli('plan')).stdout, why)
      t.match((await rig.cli('push')).stdout, /committed by handover/)
      t.not((await rig.own()).pid, pid)
    })
  const before = await rig.own()
  t.match((await rig.swap('v2')).stdout, /committed by hot/)
  write('README.md', 'words')
  t.match((await rig.cli('push')).stdout, /committed by hot/, 'what nobody reads')
  await isUntouched(t, rig, before, 'v2')
})

t.test('a service that dies after a hot swap comes back with what was swapped in', async (t) => {
  const rig = await hotRig(t)
  await rig.swap('v2')
  const { pid } = await rig.own()
  process.kill(pid, 'SIGKILL')
  const after = await eventually(() => rig.own())
  t.not(after.pid, pid)
  t.equal(after.release, 'v2')
  t.match((await rig.swap('v3')).stdout, /committed by hot/, 'and takes the next one')
  t.equal((await rig.own()).pid, after.pid)
})

t.test('a program that dies of its new code is back with the old', async (t) => {
  const rig = await hotRig(t)
  const before = await rig.own()
  const { code, stderr } = await rig.swap('v2', append('setTimeout(() => process.exit(9), 150)'))
  t.equal(code, 8, stderr)
  t.match(stderr, /E_SERVICE_START|E_PROBE_FAILED/)
  const after = await eventually(() => rig.own())
  t.equal(after.release, 'v1')
  t.not(after.pid, before.pid)
  t.match((await rig.swap('v3')).stdout, /committed by hot/)
})

t.test('a small Fastify app, by docs/hot.md', async (t) => {
  const rig = await hotRig(t)
  const docs = readFileSync(new URL('../../docs/hot.md', import.meta.url), 'utf8')
  const [app = '', server = ''] = [...docs.matchAll(/```js\n(.*?)```/gs)].map(([, code = '']) => code)
  const write = (name: string, text: string) => writeFileSync(join(rig.project, name), text)
  write(
    'main.mjs',
    server.replace("'deployctl-service'", "'./library/index.mjs'").replaceAll('./app.js', './app.mjs'),
  )
  // As an installed one is: by its name, from node_modules.
  mkdirSync(join(rig.project, 'node_modules/fastify'), { recursive: true })
  write('node_modules/fastify/package.json', '{ "name": "fastify", "main": "index.js" }')
  write(
    'node_modules/fastify/index.js',
    `module.exports = require(${JSON.stringify(fileURLToPath(import.meta.resolve('fastify')))})`,
  )
  write('app.mjs', app)
  t.match((await rig.cli('push')).stdout, /committed by handover/)
  const ask = async () => (await (await fetch(await rig.url())).json()) as { hello: string; visits: number }
  const before = await ask()
  t.equal(before.hello, 'world')
  await using load = startLoad({ url: await rig.url(), kept: 4 })
  write('app.mjs', app.replace("'world'", "'again'"))
  t.match((await rig.cli('push')).stdout, /committed by hot/)
  const after = await ask()
  t.equal(after.hello, 'again')
  t.ok(after.visits > before.visits, `${before.visits} visits, then ${after.visits}`)
  t.equal((await load.stop()).failed, 0)
})
