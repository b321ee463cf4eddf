import { transformSync } from 'esbuild'
import t from 'tap'
import { HotProcess, mainFile } from '../../rig/hot-process.ts'
import type { Files } from '../../rig/hot-release.ts'

const project = (files: Files, boundaries = ['./app.js']): Files => ({
  'package.json': '{"type":"module"}',
  'main.js': mainFile(boundaries, 'drainSeconds: 0.3, stepSeconds: 1, growMegabytes: 100'),
  ...files,
})

const counter = (version: number, more = '') => `
import { step } from './step.js'
export const version = ${version}
export const init = () => ({ count: 0 })
export const add = (state) => (state.count ?? state.total) !== undefined ? bump(state) : null
const bump = (state) => 'count' in state ? (state.count += step) : (state.total += step)
export const peek = (state) => state
${more}
`
const one = (more = '') => project({ 'app.js': counter(1, more), 'step.js': 'export const step = 1\n' })

t.test('new code, the same state', async (t) => {
  const service = await HotProcess.start(t, one())
  t.equal(await service.call('add'), 1)
  const prepared = await service.prepare('r1', { ...one(), 'step.js': 'export const step = 10\n' })
  t.match(prepared, { ok: true, evaluated: 2 })
  t.equal(await service.call('add'), 2, 'until then it is the old code')
  t.match(await service.request({ do: 'commit', release: 'r1' }), { ok: true })
  t.equal(await service.call('add'), 12)
  t.match(await service.request({ do: 'status' }), {
    release: 'r1',
    unconfirmed: true,
    boundaries: [{ path: 'app.js', version: 1 }],
  })
  t.match(await service.request({ do: 'commit', release: 'r1' }), { ok: true }, 'asked twice, done once')
  t.match(await service.request({ do: 'rollback', release: 'r1' }), { ok: true, state: 'kept' })
  t.equal(await service.call('add'), 13, 'the old code, with what the new one did')
  t.match(await service.request({ do: 'rollback', release: 'r1' }), { ok: true, state: 'untouched' })
})

t.test('the state moves to another version, and back', async (t) => {
  const service = await HotProcess.start(t, one())
  await service.call('add')
  const two = project({
    'app.js': counter(
      2,
      `
export const codeChange = (state, from) => ({ total: state.count, from })
export const codeChangeDown = (state, to) => ({ count: state.total, to })`,
    ),
    'step.js': 'export const step = 5\n',
  })
  t.match(await service.prepare('r1', two), { ok: true })
  t.match(await service.request({ do: 'commit', release: 'r1' }), { ok: true })
  t.same(await service.call('peek'), { total: 1, from: 1 })
  t.equal(await service.call('add'), 6)
  t.match(await service.request({ do: 'rollback', release: 'r1' }), { ok: true, state: 'kept' })
  t.same(await service.call('peek'), { count: 6, to: 1 })
})

t.test('without a way down, the state is that of the swap', async (t) => {
  const service = await HotProcess.start(t, one())
  await service.call('add')
  const two = project({
    'app.js': counter(2, 'export const codeChange = (state) => ({ total: state.count })'),
    'step.js': 'export const step = 5\n',
  })
  await service.prepare('r1', two)
  await service.request({ do: 'commit', release: 'r1' })
  t.equal(await service.call('add'), 6)
  t.match(await service.request({ do: 'rollback', release: 'r1' }), { ok: true, state: 'as before the swap' })
  t.same(await service.call('peek'), { count: 1 })
})

const failing: [string, string, RegExp, number | null][] = [
  ['throws', `\n\nthrow new TypeError('no such table')`, /TypeError: no such table/, 3],
  ['throws no error', `throw 'words'`, /it threw words/, null],
  ['throws later', `await null\nthrow new Error('later')`, /later/, 2],
  [
    'throws where nobody looks',
    `setTimeout(() => {\n throw new Error('astray') }, 1)\nawait new Promise((go) => setTimeout(go, 200))`,
    /astray/,
    2,
  ],
  [
    'rejects where nobody looks',
    `void (async () => {\n throw new Error('astray') })()\nawait new Promise((go) => setTimeout(go, 200))`,
    /astray/,
    2,
  ],
  ['never resolves', `await new Promise(() => {})`, /not come to an end within 1 s/, null],
  ['never ends', `for (;;) {}`, /stood still for 2 s/, null],
  ['exits', `process.exit(3)`, /called process\.exit\(3\)/, 1],
  ['exits later', `await null\nprocess.exit()`, /called process\.exit\(\)/, 2],
  [
    'takes all memory',
    `const all = []\nfor (;;) all.push(new Array(1000).fill(all.length))`,
    /more than 100 MB/,
    null,
  ],
  [
    'takes all memory in turns',
    `const all = []\nfor (;;) { all.push(new Array(1e5).fill(all.length)); await new Promise(setImmediate) }`,
    /more than 100 MB/,
    null,
  ],
  [
    'does not link',
    `import { nothing } from './step.js'`,
    /does not provide an export named 'nothing'/,
    null,
  ],
]
for (const [what, code, message, line] of failing)
  t.test(`new code that ${what} leaves the old one alone`, async (t) => {
    const service = await HotProcess.start(t, { ...one(`import './part.js'`), 'part.js': '' })
    await service.call('add')
    const answer = await service.prepare('r1', { ...one(`import './part.js'`), 'part.js': code })
    t.match(answer, { ok: false, fault: { message, module: 'part.js', line } })
    t.equal(await service.call('add'), 2, 'the old code and its state')
    t.match(
      await service.swap('r2', {
        ...one(`import './part.js'`),
        'part.js': 'void 0',
        'step.js': 'export const step = 7',
      }),
      { ok: true },
    )
    t.equal(await service.call('add'), 9, 'and the next release is taken')
  })

const two = (codeChange: string) =>
  project({
    'app.js': counter(2, `export const codeChange = ${codeChange}`),
    'step.js': 'export const step = 1\n',
  })
const unmoved: [string, string, RegExp][] = [
  ['throws', `(state) => { state.count = 99; throw new Error('no way') }`, /no way/],
  ['never resolves', `() => new Promise(() => {})`, /not come to an end within 1 s/],
  ['never ends', `() => { for (;;) {} }`, /stood still/],
  ['exits', `() => process.exit(1)`, /called process\.exit\(1\)/],
  [
    'takes all memory',
    `() => { const all = []; for (;;) all.push('x'.repeat(1e5) + all.length) }`,
    /more than 100 MB/,
  ],
]
for (const [what, codeChange, message] of unmoved)
  t.test(`a codeChange that ${what} leaves code and state as they were`, async (t) => {
    const service = await HotProcess.start(t, one())
    await service.call('add')
    t.match(await service.swap('r1', two(codeChange)), { ok: false, fault: { message, module: 'app.js' } })
    t.same(await service.call('peek'), { count: 1 })
    t.match(await service.request({ do: 'status' }), { release: 'r0', unconfirmed: false })
    t.match(await service.swap('r2', two('({ count }) => ({ total: count })')), { ok: true })
    t.equal(await service.call('add'), 2)
  })

t.test('two boundaries move together or not at all', async (t) => {
  const both = (version: number, second: string) =>
    project(
      {
        'app.js': `export const version = ${version}\nexport const init = () => ({ app: 1 })\nexport const peek = (state) => state\nexport const codeChange = (state) => ({ ...state, moved: true })\n`,
        'jobs.js': `export const version = ${version}\nexport const init = () => ({ jobs: 1 })\nexport const peek = (state) => state\n${second}`,
      },
      ['./app.js', './jobs.js'],
    )
  const service = await HotProcess.start(t, both(1, ''))
  const refused = await service.swap(
    'r1',
    both(2, `export const codeChange = () => {\n throw new Error('not mine') }`),
  )
  t.match(refused, { ok: false, fault: { message: /not mine/, module: 'jobs.js', line: 5 } })
  t.same([await service.call('peek'), await service.call('peek', [], './jobs.js')], [{ app: 1 }, { jobs: 1 }])
  t.match(
    await service.swap('r2', both(2, `export const codeChange = (state) => ({ ...state, moved: true })`)),
    { ok: true },
  )
  t.same(
    [await service.call('peek'), await service.call('peek', [], './jobs.js')],
    [
      { app: 1, moved: true },
      { jobs: 1, moved: true },
    ],
  )
})

t.test('a state that moves waits for the calls under way, and they for nothing', async (t) => {
  const slow = `export const slow = (state, ms) => new Promise((resolve) => setTimeout(() => resolve(state.count), ms))`
  const service = await HotProcess.start(t, one(slow))
  const next = project({
    'app.js': counter(
      2,
      `export const codeChange = (state) => ({ total: state.count })\nexport const slow = (state) => state.total`,
    ),
    'step.js': 'export const step = 1\n',
  })
  const long = service.call('slow', [2_000])
  t.match(await service.swap('r1', next), {
    ok: false,
    fault: { message: /1 calls of app\.js have not ended within 0\.3 s/ },
  })
  const short = service.call('slow', [100])
  const swapped = service.swap('r2', next).then((answer) => answer)
  t.equal(await long, 0)
  t.equal(await short, 0)
  t.notOk((await swapped)['ok'], 'the long one was still there')
  const last = service.call('slow', [100])
  const again = service.swap('r3', next)
  t.equal(await last, 0)
  t.match(await again, { ok: true })
  t.equal(await service.call('slow'), 0)
})

t.test('what outlives a release: resources, jobs; what does not is disposed of', async (t) => {
  const app = (n: number, more = '') =>
    project({
      'app.js': `
export const init = () => ({ ticks: 0 })
export const jobs = { tick: 10 }
export const tick = (state) => { state.ticks += 1 }
export const ticks = (state) => state.ticks
export const version = ${n < 3 ? 1 : 2}
export const codeChange = (state) => state
export const log = (state, context) => context.resource('log', () => [])
export const pool = (state, context) => context.resource('pool', () => ({ made: ${n} }), { version: ${n < 3 ? 1 : 2}, close: ({ made }) => log(state, context).push('closed ' + made) }).made
export const dispose = (state, context) => { context.resource('log', () => []).push('disposed ${n}') }
${more}`,
    })
  const service = await HotProcess.start(t, app(1))
  t.equal(await service.call('pool'), 1)
  t.match(await service.swap('r2', app(2)), { ok: true, problems: [] })
  t.equal(await service.call('pool'), 1, 'made once')
  t.same(await service.call('log'), ['disposed 1'])
  const before = await service.call('ticks')
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.ok((await service.call('ticks')) > before)
  t.match(await service.swap('r3', app(3, `export const late = 1`)), { ok: true })
  t.equal(await service.call('pool'), 3)
  t.match(await service.swap('r4', app(4, `throw new Error('no')`)), { ok: false })
  const stuck = app(4)
  const moved = stuck['app.js']
    ?.replace('version = 2', 'version = 3')
    .replace('(state) => state\n', '() => { throw new Error("no") }\n')
  t.match(await service.swap('r4', { ...stuck, 'app.js': moved ?? '' }), {
    ok: false,
    fault: { message: /no/ },
  })
  t.equal(await service.call('pool'), 3, 'what was replaced before the swap stays so')
  t.same(await service.call('log'), ['disposed 1', 'disposed 2'])
  t.match(await service.swap('r5', app(5)), { ok: true })
  t.same(await service.call('log'), ['disposed 1', 'disposed 2', 'disposed 3', 'closed 1'])
})

const bad: [string, string][] = [
  ['throws', `() => { throw new Error('in dispose') }`],
  ['never resolves', `() => new Promise(() => {})`],
  ['exits', `() => process.exit(1)`],
]
for (const [what, dispose] of bad)
  t.test(`a dispose that ${what} is told, and harms nobody`, async (t) => {
    const service = await HotProcess.start(t, one(`export const dispose = ${dispose}`))
    await service.call('add')
    const swapped = await service.swap('r1', one('export const more = 1'))
    t.match(swapped, { ok: true, problems: [{ module: 'app.js' }] })
    t.equal(swapped['problems'].length, 1)
    t.equal(await service.call('add'), 2)
  })

t.test('TypeScript, as Node strips it: lines are those of the source', async (t) => {
  const typed = (n: number): Files => ({
    'package.json': '{"type":"module"}',
    'main.js': mainFile(['./app.ts']),
    'app.ts': `import { price, type Price } from './price.ts'
type State = { count: number }
export const version: number = 1
export const init = (): State => ({ count: 0 })
export const total = (state: State, n: number): Price => (price * n) as Price
export const fail = (): never => {
  throw new Error('here')
}`,
    'price.ts': `export type Price = number
export const price: Price = ${n}`,
  })
  const service = await HotProcess.start(t, typed(2))
  t.equal(await service.call('total', [3], './app.ts'), 6)
  t.match(await service.swap('r1', typed(5)), { ok: true })
  t.equal(await service.call('total', [3], './app.ts'), 15)
  t.match((await service.call('fail', [], './app.ts'))['stack'], /r1\/app\.ts:7:9/)
})

t.test('compiled code: with source maps, stack traces name the sources', async (t) => {
  const compiled = (n: number): Files => {
    const source = `interface Wide {\n  many: number\n}\n\nexport function fail(): Wide {\n  throw new Error('n${n}')\n}\n`
    const { code } = transformSync(source, { loader: 'ts', sourcemap: 'inline', sourcefile: 'src/app.ts' })
    return project({ 'app.js': code })
  }
  const service = await HotProcess.start(t, compiled(1), ['--enable-source-maps'])
  t.match((await service.call('fail'))['stack'], /src\/app\.ts:6:/)
  t.match(await service.swap('r1', compiled(2)), { ok: true })
  t.match((await service.call('fail'))['stack'], /r1\/src\/app\.ts:6:/)
})
