import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyGraph } from '../../../../agent/activate/verify-graph.ts'
import { sha256Hex } from '../../../../shared/documents/document.ts'
import type { Manifest } from '../../../../shared/formats/manifest.ts'
import { transformedPath, type ModuleGraph } from '../../../../shared/formats/modules.ts'
import { temporary, writeRelease, type Files } from '../../../rig/hot-release.ts'

const project: Files = {
  'package.json': '{"type":"module"}',
  'main.js': `import { createHot } from 'deployctl-service'\nawait createHot({ boundaries: ['./app.js'] })`,
  'app.js': `import { price } from './price.js'\nexport const version = 2\nexport const codeChange = (state) => state\nexport const handle = () => price`,
  'price.js': 'export const price = 1',
  'free.js': 'export const price = 0',
  'data.json': '{}',
}

/** A release that is staged, and its manifest, which may say otherwise. */
function staged(t: Test, lie: (graph: ModuleGraph, root: string) => unknown = () => {}) {
  const { root, graph } = writeRelease(temporary(t), 'r1', project)
  lie(graph, root)
  const paths = [...Object.keys(project), ...graph.modules.map(({ path }) => transformedPath(path))]
  const files = paths.map((path) => ({
    path,
    mode: '0644' as const,
    size: 1,
    sha256: sha256Hex(readFileSync(join(root, path))),
  }))
  const run = { argv: ['node', 'main.js'] }
  return { root, manifest: { files, run, hot: graph } as unknown as Manifest }
}

t.test('a release that says what is so', async (t) => {
  const { root, manifest } = staged(t)
  await t.resolves(verifyGraph(manifest, root, null))
  await t.resolves(verifyGraph({ files: [] } as unknown as Manifest, root, null), 'one without a graph')
})

const lies: [what: string, lie: (graph: ModuleGraph, root: string) => unknown, why: RegExp][] = [
  [
    'other code than its source',
    (_, root) =>
      writeFileSync(
        join(root, transformedPath('price.js')),
        readFileSync(join(root, transformedPath('price.js')), 'utf8').replace('price = 1', 'price = 0'),
      ),
    /of price\.js .*not made of it/,
  ],
  [
    'a link to another module',
    (_, root) =>
      writeFileSync(
        join(root, transformedPath('app.js')),
        readFileSync(join(root, transformedPath('app.js')), 'utf8').replace(
          '"to":"price.js"',
          '"to":"free.js"',
        ),
      ),
    /of app\.js .*not made of it/,
  ],
  [
    'an import that is left out',
    (graph) => graph.modules[0]?.imports.pop(),
    /of app\.js .*loads other modules/,
  ],
  [
    'an import that is none',
    (graph) => graph.modules[1]?.imports.push('free.js'),
    /of price\.js .*loads other modules/,
  ],
  [
    'a module that is not there',
    (graph) =>
      graph.modules.push({ path: 'ghost.json', kind: 'json', imports: [], lazy: [], locatesItself: false }),
    /of ghost\.json .*not there/,
  ],
  [
    'another kind',
    (graph) => Object.assign(graph.modules[1] ?? {}, { kind: 'json' }),
    /of price\.js .*loads other modules/,
  ],
  [
    'another version of the state',
    (graph) => Object.assign(graph.boundaries[0] ?? {}, { version: 1 }),
    /of app\.js .*its state/,
  ],
  [
    'a codeChange that is none',
    (graph) => Object.assign(graph.boundaries[0] ?? {}, { codeChangeDown: true }),
    /of app\.js .*its state/,
  ],
  [
    'a module of its own as one of the entry',
    (graph) => graph.cold.push('price.js'),
    /of main\.js .*loads other modules when it starts/,
  ],
  [
    'a boundary more',
    (graph) =>
      graph.boundaries.push({ path: 'price.js', version: 1, codeChange: false, codeChangeDown: false }),
    /of main\.js .*boundaries/,
  ],
  [
    'how modules are found',
    (graph) => Object.assign(graph, { packages: '0'.repeat(64) }),
    /of package\.json .*how modules are found/,
  ],
]
for (const [what, lie, why] of lies)
  t.test(`a signed graph that lies is refused: ${what}`, async (t) => {
    const { root, manifest } = staged(t, (graph, at) => {
      if (what === 'a module that is not there') writeFileSync(join(at, '.deployctl/hot/ghost.json'), '')
      lie(graph, at)
    })
    await t.rejects(verifyGraph(manifest, root, null), { code: 'E_HOT_GRAPH', message: why })
  })

t.test('what was looked at before is not looked at again', async (t) => {
  const { root, manifest } = staged(t)
  const stopped = {
    ...manifest,
    files: manifest.files.map((file) =>
      file.path === 'price.js' ? { ...file, sha256: '0'.repeat(64) } : file,
    ),
  }
  await t.resolves(verifyGraph(manifest, root, manifest))
  await t.resolves(verifyGraph(stopped, root, manifest), 'what changed is')
})
