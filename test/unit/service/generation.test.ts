import t, { type Test } from 'tap'
import { Generation } from '../../../service/generation.ts'
import { NativeModules } from '../../../service/native-modules.ts'
import { temporary, writeRelease, type Files } from '../../rig/hot-release.ts'

type Space = Record<string, any>
const main = `import { createHot } from 'deployctl-service'\ncreateHot({ boundaries: ['./app.js'] })\n`
const dependencies: Files = {
  'package.json':
    '{"type":"module","imports":{"#own":"./lib/own.js","#dep":"dep"},"name":"shop","exports":"./lib/self.js"}',
  'main.js': `${main}import './cold.js'\n`,
  'cold.js': `export const cold = { loaded: (globalThis.coldLoads = (globalThis.coldLoads ?? 0) + 1) }\n`,
  'node_modules/dep/package.json': '{"name":"dep","version":"1.0.0","type":"module","exports":"./i.js"}',
  'node_modules/dep/i.js': 'export const id = Symbol("dep")\nexport default class Dep {}\n',
  'node_modules/cdep/package.json': '{"name":"cdep","version":"1.0.0"}',
  'node_modules/cdep/index.js': 'exports.x = { n: 0 }; exports.named = 5\n',
}

async function load(t: Test, files: Files, name = '1') {
  const { root } = writeRelease(temporary(t), name, { ...dependencies, ...files })
  const generation = new Generation({
    number: 0,
    release: name,
    root,
    native: new NativeModules(root),
    onLoaded: () => {},
  })
  await generation
    .load(['app.js'], (part) => part())
    .catch((error: unknown) => {
      throw Object.assign(error as Error, { module: generation.at })
    })
  return { root, generation, app: generation.modules.get('app.js')?.namespace as Space }
}

t.test('everything that modules can say to each other', async (t) => {
  const { app } = await load(t, {
    'app.js': `
import dep, { id } from 'dep'
import * as all from './lib/stars.js'
import cdep, { named } from 'cdep'
import { readFileSync as read } from 'node:fs'
import settings from './settings.json' with { type: 'json' }
import legacy, { two } from './legacy.cjs'
import { own } from '#own'
import { id as again } from '#dep'
import { self } from 'shop'
import { a } from './cycle-a.js'
import { cold } from './cold.js'
import counter, { count, increment } from './counter.js'
export * from './lib/stars.js'
export * as stars from './lib/stars.js'
export { default as Renamed, 'any name at all' as quoted } from './lib/names.js'
export const later = () => import('./lib/later.js')
export const lives = () => { increment(); return count }
const short = { id, named }
export { dep, id, all, cdep, named, read, settings, legacy, two, own, again, self, a, cold, short, counter }
export const [first, { second = 2, ...rest }] = [1, { third: 3 }]
export default () => 'arrow'
export function shadow(id) { { const named = 'inner'; return [id, named] } }
export const tag = ((strings) => strings.raw[0])\`x\\y\`
export const where = import.meta
`,
    'lib/stars.js': `export const one = 1\nexport let two = 'star'\nexport default 3\n`,
    'lib/names.js': `const x = 'x'\nexport { x as 'any name at all' }\nexport default function () {}\n`,
    'lib/later.js': `export const later = 'loaded later'\n`,
    'lib/own.js': `export const own = 'by #own'\n`,
    'lib/self.js': `export const self = 'by its own name'\n`,
    'settings.json': '{ "colour": "red" }',
    'legacy.cjs': `const { x } = require('cdep'); exports.x = x; exports.two = require('./legacy2').n; exports.file = __filename`,

    'legacy2/package.json': '{"main":"lib"}',
    'legacy2/lib.json': '{"n":2}',
    'cycle-a.js': `import { b } from './cycle-b.js'\nexport function hoisted() { return 'up' }\nexport const a = 'a' + b\n`,
    'cycle-b.js': `import { hoisted } from './cycle-a.js'\nexport const b = hoisted()\n`,
    'counter.js': `export let count = 0\nexport const increment = () => { count += 1 }\nexport default count\n`,
  })
  t.equal(typeof app['id'], 'symbol')
  t.equal(app['again'], app['id'], 'a dependency is there once')
  t.equal(app['dep'].name, 'Dep')
  t.equal(app['cdep'].x, app['legacy'].x, 'for CommonJS too')
  t.equal(app['named'], 5)
  t.equal(app['short'].named, 5)
  t.equal(typeof app['read'], 'function')
  t.same(app['settings'], { colour: 'red' })
  t.equal(app['two'], 2, 'an own export goes before that of `export *`')
  t.match(app['legacy'].file, /\/1\/legacy\.cjs$/)
  t.equal(app['own'], 'by #own')
  t.equal(app['self'], 'by its own name')
  t.equal(app['a'], 'aup', 'functions are there before their module is evaluated')
  t.same(app['all'].two, 'star')
  t.same(app['stars'], app['all'])
  t.equal(app['quoted'], 'x')
  t.equal(app['Renamed'].name, 'default')
  t.equal(app['default'].name, 'default')
  t.equal((await app['later']()).later, 'loaded later')
  t.same([app['lives'](), app['lives'](), app['counter']], [1, 2, 0], 'imports are live, values are not')
  t.same([app['first'], app['second'], app['rest']], [1, 2, { third: 3 }])
  t.same(app['shadow'](1), [1, 'inner'])
  t.equal(app['tag'], 'x\\y')
  t.match(app['where'].url, /^file:.*\/1\/app\.js$/)
  t.equal(app['where'].dirname, app['where'].filename.replace('/app.js', ''))
  t.match(app['where'].resolve('./x.js'), /\/1\/x\.js$/)
  t.match(app['where'].resolve('dep'), /node_modules\/dep\/i\.js$/)
  t.equal(app[Symbol.toStringTag as unknown as string], 'Module')
  t.throws(() => (app['one'] = 2), TypeError)
  const { cold } = (await import(new URL('cold.js', app['where'].url).href)) as Space
  t.equal(cold, app['cold'], 'what the program itself has loaded')
  t.equal((globalThis as Space)['coldLoads'], 1)
})

function stackOf(fail: () => void): string {
  try {
    fail()
  } catch (error) {
    return (error as Error).stack ?? ''
  }
  return ''
}

t.test('line numbers are those of the source', async (t) => {
  const { app } = await load(t, {
    'app.js': `#!/usr/bin/env node
import {
  id,
} from 'dep'
export
  default
    class extends Object {}
export const fail = () => {
  throw new Error(String(id))
}`,
  })
  t.match(stackOf(app['fail']), /at (?:Module\.)?fail \(file:\/\/.*\/1\/app\.js:9:9\)/)
  t.equal(app['default'].name, 'default')
})

t.test('no semicolon, no harm', async (t) => {
  const { app } = await load(t, {
    'app.js': `import { push } from './list.js'
let list = []
push(list, 1)
const text = 'x'
push(list, text)
if (text)
  push(list, 2)
else push(list, 3)
for (const n of [4]) push(list, n)
label: push(list, 5)
export default list
push(list, 6)
export class Row { first = push([], 0)
  static { push(list, 7) }
}
`,
    'list.js':
      'export function push(list, one) { if (this !== undefined) throw new Error("this"); list.push(one); return one }',
  })
  t.same(app['default'], [1, 'x', 2, 4, 5, 6, 7])
})

t.test('await at the top, and modules that wait for others', async (t) => {
  const { app } = await load(t, {
    'app.js': `import { slow } from './slow.js'
import { sync } from './sync.js'
export const all = [slow, sync]
const more = await import('./more.js')
export const again = more.again`,
    'slow.js': `export const slow = await new Promise((resolve) => setTimeout(resolve, 10, 'slow'))
for await (const one of [Promise.resolve(1)]) one`,
    'sync.js': `import { slow } from './slow.js'\nexport const sync = 'after ' + slow`,
    'more.js': `import { slow } from './slow.js'\nexport const again = slow`,
  })
  t.same(app['all'], ['slow', 'after slow'])
  t.equal(app['again'], 'slow')
})

t.test('what cannot be linked or evaluated says where', async (t) => {
  const fails = async (files: Files, what: Space) =>
    t.match(await load(t, files).catch((error: unknown) => error), what)
  await fails(
    { 'app.js': `import { none } from './lib.js'`, 'lib.js': '' },
    { message: /'.\/lib.js' does not provide an export named 'none'/, module: 'app.js' },
  )
  await fails(
    {
      'app.js': `import { x } from './both.js'`,
      'both.js': `export * from './a.js'\nexport * from './b.js'`,
      'a.js': 'export const x = 1',
      'b.js': 'export const x = 2',
    },
    { message: /does not provide an export named 'x'/ },
  )
  await fails(
    { 'app.js': `import './lib.js'`, 'lib.js': `throw new Error('bad')` },
    { message: 'bad', module: 'lib.js' },
  )
  await fails(
    { 'app.js': `import './lib.js'`, 'lib.js': `console.log(later)\nlet later = 1` },
    { message: /before init/ },
  )
})
