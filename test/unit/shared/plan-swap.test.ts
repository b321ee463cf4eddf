import t from 'tap'
import { sha256Hex } from '../../../shared/documents/document.ts'
import type { Manifest } from '../../../shared/formats/manifest.ts'
import { transformedPath } from '../../../shared/formats/modules.ts'
import { hotModulesOf } from '../../../shared/hot/graph.ts'
import { describeSwap, planSwap, type SwapPlan } from '../../../shared/plan/swap.ts'
import { treeOf, type Files } from '../../rig/hot-release.ts'

const project: Files = {
  'package.json': '{"type":"module","version":"1.0.0"}',
  'server.js': `import { createHot } from 'deployctl-service'\nawait createHot({ boundaries: ['./app.js', './jobs.js'] })`,
  'app.js': `import './lib/a.js'\nimport './lib/b.js'\nimport page from './page.js'`,
  'jobs.js': `import './lib/b.js'`,
  'lib/a.js': `import './deep.js'`,
  'lib/b.js': '',
  'lib/deep.js': '',
  'page.js': 'export default import.meta.dirname',
  'admin.js': '',
  'public/style.css': '',
  'data.csv': '',
  'node_modules/dep/index.js': '',
}
const lazily = { 'lib/b.js': `export const load = () => import('../admin.js')` }

function release(change: Files = {}, more: Partial<Manifest> = {}, without: string[] = []): Manifest {
  const files: Files = { ...project, ...lazily, ...change }
  for (const name of without) delete files[name]
  const made = hotModulesOf(['node', 'server.js'], treeOf(files), { facts: new Map(), cold: new Map() })
  const own = [...(made?.files ?? [])].map(([path, text]) => [transformedPath(path), text] as const)
  return {
    spec: 'deployctl/release/v1',
    fleet: '0'.repeat(32),
    service: 'shop',
    version: 'v1',
    created: '2026-01-01T00:00:00.000Z',
    files: [...Object.entries(files), ...own].map(([path, text]) => ({
      path,
      mode: '0644',
      size: 1,
      sha256: sha256Hex(text),
    })),
    links: [],
    emptyDirs: [],
    run: {
      argv: ['node', 'server.js'],
      sockets: [
        { name: 'http', port: 80 },
        { name: 'deployctl', private: true },
      ],
    },
    health: {},
    activation: { static: ['public/'] },
    ...(made && { hot: made.graph }),
    minimumAgent: 1,
    provenance: { commit: null, dirty: false, builder: 'test', lockfile: null },
    ...more,
  }
}
const before = release()
const swap = (next: Manifest): SwapPlan => {
  const plan = planSwap(before, next)
  if ('obstacle' in plan) throw new Error(plan.obstacle)
  return plan
}

t.test('a module and all that import it, each after its imports, and no other', (t) => {
  t.same(swap(release({ 'lib/deep.js': '// new' })), {
    evaluate: ['lib/deep.js', 'lib/a.js', 'app.js'],
    forget: [],
    boundaries: [{ path: 'app.js', from: 1, to: 1, migrates: false }],
  })
  const both = swap(release({ 'admin.js': '// new' }))
  t.same(both.evaluate, ['lib/b.js', 'app.js', 'jobs.js'])
  t.same(both.forget, ['admin.js'], 'loaded when somebody asks for it the next time')
  t.same(
    both.boundaries.map(({ path }) => path),
    ['app.js', 'jobs.js'],
  )
  t.same(swap(release()).evaluate, [])
  t.end()
})

t.test('modules that come, go, or find another', (t) => {
  const added = swap(release({ 'lib/a.js': `import './new.js'`, 'lib/new.js': '' }))
  t.same(added.evaluate, ['lib/new.js', 'lib/a.js', 'app.js'])
  t.same(
    swap(release({ 'lib/a.js': '' })).evaluate,
    ['lib/a.js', 'app.js'],
    'deep.js is no part of it any more',
  )
  t.end()
})

t.test('files that are read anew concern those who ask where they lie', (t) => {
  t.same(swap(release({ 'public/style.css': 'p {}' })).evaluate, ['page.js', 'app.js'])
  t.match(describeSwap(swap(release({ 'package-lock.json': '{}' }))), [
    'no code changes: only what is read anew',
  ])
  t.same(
    swap(release({ 'package.json': '{"type":"module","version":"1.0.1"}', 'README.md': 'x', 'a.d.ts': 'x' }))
      .evaluate,
    [],
  )
  t.same(swap(release({ 'src/app.ts': 'source of what runs' })).evaluate, [])
  t.end()
})

const obstacles: [what: string, next: Manifest, why: RegExp][] = [
  ['the entry', release({ 'server.js': `${project['server.js']}\n//` }), /server\.js is loaded at the start/],
  ['a dependency', release({ 'node_modules/dep/index.js': '1' }), /the dependency dep changed/],
  ['a scoped one', release({ 'node_modules/@own/x/index.js': '1' }), /the dependency @own\/x changed/],
  ['an unknown file', release({ 'data.csv': '1' }), /data\.csv changed, and who reads it is not known/],
  ['a module that nobody imports', release({ 'worker.js': '1' }), /worker\.js changed, and who reads it/],
  [
    'how modules are found',
    release({ 'package.json': '{"type":"module","imports":{"#a":"./lib/a.js"}}' }),
    /package\.json says otherwise/,
  ],
  [
    'other boundaries',
    release({ 'server.js': `import { createHot } from 'x'\nawait createHot({ boundaries: ['./app.js'] })` }),
    /its boundaries are others/,
  ],
  [
    'the command line',
    release({}, { run: { ...before.run, argv: ['node', '--test', 'server.js'] } }),
    /the way it is run changed \(run\.argv\)/,
  ],
  [
    'no private socket',
    release({}, { run: { argv: ['node', 'server.js'] } }),
    /no private socket "deployctl"/,
  ],
  [
    'a state without a way',
    release({ 'app.js': `${project['app.js']}\nexport const version = 2` }),
    /the state of app\.js goes from version 1 to 2, and there is no codeChange/,
  ],
  [
    'a transform of another time',
    release({}, { hot: { ...(before.hot as NonNullable<Manifest['hot']>), transform: 9 } }),
    /another version of deployctl/,
  ],
]
for (const [what, next, why] of obstacles)
  t.test(`not hot: ${what}`, (t) => {
    t.match(planSwap(before, next), { obstacle: why })
    t.end()
  })

t.test('a state moves up by the new code and down by the old', (t) => {
  const two = release({
    'app.js': `${project['app.js']}\nexport const version = 2\nexport const codeChange = 1\nexport const codeChangeDown = 1`,
  })
  t.match(swap(two).boundaries, [{ path: 'app.js', from: 1, to: 2, migrates: true }])
  t.match(planSwap(two, before), { boundaries: [{ from: 2, to: 1, migrates: true }] })
  const oneWay = release({
    'app.js': `${project['app.js']}\nexport const version = 2\nexport const codeChange = 1`,
  })
  t.match(planSwap(oneWay, before), { obstacle: /no codeChangeDown in the app\.js that runs/ })
  t.end()
})
