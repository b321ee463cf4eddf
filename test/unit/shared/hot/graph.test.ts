import t from 'tap'
import { hotModulesOf } from '../../../../shared/hot/graph.ts'
import { treeOf, type Files } from '../../../rig/hot-release.ts'

const entry = `import { createHot } from 'deployctl-service'\nconst hot = await createHot({ boundaries: ['./app.js'] })\n`
const graphOf = (files: Files, argv = ['node', 'server.js']) =>
  hotModulesOf(argv, treeOf({ 'package.json': '{"type":"module"}', 'server.js': entry, ...files }), {
    facts: new Map(),
    cold: new Map(),
  })?.graph

t.test('what the entry loads is cold, what the boundaries lead to is hot', (t) => {
  const graph = graphOf({
    'server.js': `${entry}import './setup.js'\nimport { readFile } from 'node:fs'`,
    'setup.js': `import './shared.js'`,
    'shared.js': '',
    'app.js': `import './lib/a.js'\nimport './shared.js'\nimport 'dep'\nexport const version = 3\nexport const codeChange = (state) => state`,
    'lib/a.js': `export const later = () => import('../b.cjs')\nexport const here = import.meta.dirname`,
    'b.cjs': `require('./c')`,
    'c.json': '{}',
    'unused.js': '',
  })
  t.same(graph?.cold, ['server.js', 'setup.js', 'shared.js'])
  t.same(graph?.boundaries, [{ path: 'app.js', version: 3, codeChange: true, codeChangeDown: false }])
  t.match(graph?.modules, [
    { path: 'app.js', kind: 'esm', imports: ['lib/a.js'], lazy: [], locatesItself: false },
    { path: 'b.cjs', kind: 'cjs', imports: [], lazy: ['c.json'] },
    { path: 'c.json', kind: 'json' },
    { path: 'lib/a.js', kind: 'esm', lazy: ['b.cjs'], locatesItself: true },
  ])
  t.equal(graphOf({ 'server.js': 'console.log(1)' }), undefined, 'a program that does not ask for it')
  t.end()
})

t.test('the entry is what the command line names', (t) => {
  t.ok(graphOf({ 'app.js': '' }, ['node', '--enable-source-maps', './server.js', '--port', '80']))
  t.ok(graphOf({ 'app.js': '', 'pre.js': '' }, ['node', '--import=./pre.js', 'server.js']))
  t.equal(graphOf({ 'app.js': '' }, ['node', 'other.js']), undefined)
  const nested = { 'dist/main.js': entry, 'dist/app.js': '' }
  t.equal(graphOf(nested, ['node', 'dist/main.js'])?.boundaries[0]?.path, 'dist/app.js')
  const from = {
    'server.js': `import './lib/hot.js'`,
    'lib/hot.js': entry.replace("['./app.js']", "['./app.js'], from: import.meta.url"),
  }
  t.equal(graphOf({ ...from, 'lib/app.js': '' })?.boundaries[0]?.path, 'lib/app.js')
  t.end()
})

t.test('a codeChange that comes by `export *` counts', (t) => {
  const graph = graphOf({
    'app.js': `export const version = 2\nexport * from './state.js'`,
    'state.js': `export { up as codeChange } from './moves.js'`,
    'moves.js': 'export const up = 1',
  })
  t.match(graph?.boundaries, [{ codeChange: true, codeChangeDown: false }])
  t.end()
})

const problems: [what: string, files: Files, says: RegExp, isFatal: boolean][] = [
  [
    'a computed import()',
    { 'app.js': '\nexport const load = (name) => import(`./${name}.js`)' },
    /^app\.js:2: import\(\) of a name that is only known/,
    false,
  ],
  [
    'a computed require()',
    { 'app.js': `import './old.cjs'`, 'old.cjs': '\n\nrequire(process.argv[2])' },
    /^old\.cjs:3: require\(\) of a name/,
    false,
  ],
  ['eval', { 'app.js': `import x from 'dep'\neval('x')` }, /^app\.js:2: eval\(\)/, false],
  ['a syntax error', { 'app.js': '\n\nlet = ;' }, /^app\.js:3: /, true],
  [
    'a file that is not there',
    { 'app.js': `\nimport './nope.js'` },
    /^app\.js:2: "\.\/nope\.js": there is no such file/,
    true,
  ],
  [
    'an ending left out',
    { 'app.js': `import './lib'`, 'lib.js': '' },
    /^app\.js:1: "\.\/lib": there is no such file/,
    true,
  ],
  ['an unknown #name', { 'app.js': `import '#nope'` }, /package\.json does not say what that is/, true],
  [
    'JSON without its type',
    { 'app.js': `import './x.json'`, 'x.json': '{}' },
    /without \{ type: 'json' \}/,
    true,
  ],
  [
    'one module by two addresses',
    { 'app.js': `import './x.js?a'`, 'x.js': '' },
    /under several addresses/,
    false,
  ],
  [
    'an ES module that is required',
    { 'app.js': `import './a.cjs'`, 'a.cjs': `\nrequire('./b.js')`, 'b.js': 'export {}' },
    /^a\.cjs:2: it requires b\.js, an ES module/,
    false,
  ],
  [
    'a boundary that is CommonJS',
    { 'server.js': entry.replace('app.js', 'app.cjs'), 'app.cjs': '' },
    /no ES module/,
    false,
  ],
  ['a version that is computed', { 'app.js': 'export const version = 1 + 1' }, /with its number/, false],
  [
    'boundaries that are computed',
    { 'server.js': entry.replace("['./app.js']", 'list'), 'app.js': '' },
    /^server\.js:2: the boundaries of createHot\(\) are not written out/,
    false,
  ],
  [
    'a boundary that the entry imports',
    { 'server.js': `${entry}import './app.js'`, 'app.js': '' },
    /^server\.js:3: it loads app\.js itself/,
    false,
  ],
]
for (const [what, files, says, isFatal] of problems)
  t.test(`${what} is told with its line`, (t) => {
    t.throws(() => graphOf(files), { message: says, isFatal })
    t.end()
  })
