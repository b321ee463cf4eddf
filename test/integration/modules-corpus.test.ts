import { execFile } from 'node:child_process'
import {
  cpSync,
  globSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { transformedPath } from '../../shared/formats/modules.ts'
import { derive } from '../../shared/hot/derive.ts'
import { GraphBuilder } from '../../shared/hot/graph.ts'
import { SourceProblem } from '../../shared/hot/source-problem.ts'
import { temporary, treeOf, type Files } from '../rig/hot-release.ts'

/** Code that nobody here wrote, loaded by Node and by us: what comes out must be the same. */
const root = join(import.meta.dirname, '../..')
const describe = join(root, 'test/fixtures/describe-module.mjs')
const run = promisify(execFile)

/** All that belongs to a package itself. */
function filesOf(dir: string, prefix = ''): Files {
  const files: Files = {}
  for (const name of readdirSync(join(dir, prefix))) {
    const path = prefix + name
    if (name === 'node_modules') continue
    if (statSync(join(dir, path)).isDirectory()) Object.assign(files, filesOf(dir, `${path}/`))
    else if (/\.(?:[cm]?js|json)$/.test(name)) files[path] = readFileSync(join(dir, path), 'utf8')
  }
  return files
}

/** Modules from `app.mjs` on, transformed beside their sources; how many there are. */
function transformAll(dir: string, files: Files): number {
  const builder = new GraphBuilder(treeOf(files), [])
  const waiting = ['app.mjs']
  const done = new Set<string>()
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (done.has(path)) continue
    done.add(path)
    const { entry, text } = builder.module(path)
    waiting.push(...entry.imports, ...entry.lazy)
    if (text === null) continue
    mkdirSync(dirname(join(dir, transformedPath(path))), { recursive: true })
    writeFileSync(join(dir, transformedPath(path)), text)
  }
  return done.size
}

/** As they are in this project's own tree. */
const packages = [
  'typebox',
  'zod',
  'fast-check',
  'chalk',
  'diff',
  'glob',
  'lru-cache',
  'minimatch',
  'tar',
  'yargs',
  'yargs-parser',
  'magic-string',
  'eslint-scope',
  'smol-toml',
  'string-width',
  'wrap-ansi',
  'pretty-ms',
  'pretty-bytes',
  'p-limit',
  'p-retry',
  'chokidar',
  'uuid',
  'log-update',
  '@clack/prompts',
  'cliui',
  'path-scurry',
]

const import_ = createRequire(join(root, 'package.json'))
const entryOf = (name: string): string => {
  const url = import.meta.resolve(name)
  return new URL(url).pathname.slice(join(root, 'node_modules', name).length + 1)
}

/** Where one text begins to differ from the other. */
function around(one: string, other: string): string {
  let at = 0
  while (at < one.length && one[at] === other[at]) at += 1
  return at === one.length ? one.slice(-100) : one.slice(Math.max(0, at - 150), at + 150)
}

t.test('packages from npm behave as with Node’s own loader', async (t) => {
  let modules = 0
  for (const name of packages)
    await t.test(name, async (t) => {
      const source = join(root, 'node_modules', name)
      const entry = entryOf(name)
      const dir = temporary(t)
      // As an application's own code, not as a dependency.
      cpSync(source, join(dir, 'lib'), {
        recursive: true,
        filter: (path) => !path.slice(source.length).includes('node_modules'),
      })
      symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
      const files: Files = {
        'app.mjs': `export * from './lib/${entry}'\nimport * as all from './lib/${entry}'\nexport { all }\n`,
      }
      for (const [path, text] of Object.entries(filesOf(join(dir, 'lib')))) files[`lib/${path}`] = text
      writeFileSync(join(dir, 'app.mjs'), files['app.mjs'] ?? '')
      const count = transformAll(dir, files)
      modules += count
      const [ours = '', nodes = ''] = await Promise.all(
        ['hot', 'node'].map(
          async (how) =>
            (
              await run(process.execPath, [describe, how, dir], {
                maxBuffer: 2 ** 27,
                env: { ...process.env, NODE_OPTIONS: '' },
              })
            ).stdout,
        ),
      )
      t.notMatch(nodes, /^fails/)
      t.equal(around(ours, nodes), around(nodes, ours), `${count} modules, ${nodes.length} characters`)
    })
  t.comment(`${modules} modules`)
  t.ok(modules > 500, `${modules} modules in all`)
})

/** The parser tests of test262; `fail` and `early` are no modules at all. */
const test262 = dirname(import_.resolve('test262-parser-tests/package.json'))

t.test('every module of test262’s parser tests is read as it should be', async (t) => {
  const accepts = (source: string) => {
    try {
      const { code } = derive('x.mjs', source, 'esm')
      // What is made of it must be JavaScript again.
      // oxlint-disable-next-line no-new-func, no-implied-eval
      return typeof new Function(`return ${code}`) === 'function'
    } catch (error) {
      if (error instanceof SourceProblem && error.isFatal) return false
      throw error
    }
  }
  let count = 0
  for (const [folder, isModule] of [
    ['pass', true],
    ['pass-explicit', true],
    ['fail', false],
    ['early', false],
  ] as const)
    for (const name of readdirSync(join(test262, folder)).filter((one) => one.endsWith('.module.js'))) {
      const source = readFileSync(join(test262, folder, name), 'utf8')
      if (accepts(source) !== isModule) t.fail(`${folder}/${name}: ${source.slice(0, 200)}`)
      count += 1
    }
  t.ok(count > 200, `${count} modules`)
})

t.test('every ES module of this project’s dependencies is JavaScript after it was transformed', (t) => {
  const largest = 200_000
  const failed: string[] = []
  let count = 0
  for (const path of globSync('node_modules/**/*.{js,mjs}', {
    cwd: root,
    exclude: ['node_modules/test262-parser-tests'],
  })) {
    const file = join(root, path)
    if (!statSync(file).isFile() || statSync(file).size > largest) continue
    try {
      const { code } = derive(path, readFileSync(file, 'utf8'), 'esm')
      count += 1
      // oxlint-disable-next-line no-new-func, no-implied-eval
      void new Function(`return ${code}`)
    } catch (error) {
      // Scripts, and what says itself that it computes names.
      if (!(error instanceof SourceProblem)) failed.push(`${path}: ${String(error)}`)
    }
  }
  t.same(failed, [])
  t.ok(count > 2000, `${count} modules`)
  t.end()
})
