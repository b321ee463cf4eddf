import { build } from 'esbuild'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { bundlePages } from '../controller/dashboard/bundle.ts'
import { compileLibrary } from '../controller/release/library.ts'

/**
 * dist/: each program bundled, for publishing; Node does not strip types inside node_modules, and one
 * file starts several times faster than hundreds. Native parts stay outside, and fastify, which loads
 * its parts by name.
 */
const entries = {
  deployctl: 'controller/cli/main.ts',
  'deploy-agent': 'agent/main.ts',
  'deploy-host': 'agent/setup/main.ts',
  'list-worker': 'controller/release/list-worker.ts',
  'hash-worker': 'controller/release/hash-worker.ts',
}
const external = ['esbuild', 'better-sqlite3', 'cpu-features', '*.node', 'fastify']

const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname

/** Another directory, and another program in the place of one of them: for tests. */
const [, , outdir = at('dist'), ...instead] = process.argv
const replaced = Object.fromEntries(instead.map((one) => one.split('=') as [string, string]))

rmSync(outdir, { recursive: true, force: true })
const { metafile } = await build({
  metafile: true,
  entryPoints: Object.fromEntries(
    Object.entries({ ...entries, ...replaced }).map(([name, file]) => [name, at(file)]),
  ),
  outdir,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  external,
  minifySyntax: true,
  legalComments: 'none',
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url); const __dirname = import.meta.dirname;",
  },
})
mkdirSync(join(outdir, 'dashboard'))
for (const [name, bytes] of await bundlePages()) writeFileSync(join(outdir, 'dashboard', name), bytes)
for (const { path, bytes } of await compileLibrary(at('service'))) {
  const file = join(outdir, 'service', basename(path))
  mkdirSync(join(outdir, 'service'), { recursive: true })
  writeFileSync(file, bytes)
}
writeFileSync(join(outdir, 'THIRD-PARTY.txt'), notices(Object.keys(metafile.inputs)))

/** The licences of all packages that went into the bundle. */
function notices(inputs: readonly string[]): string {
  const found = inputs.map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0])
  const packages = [...new Set(found.filter((dir) => dir !== undefined))].sort()
  return packages.map((dir) => notice(at(dir))).join('\n\n')
}

function notice(dir: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
  }
  const file = readdirSync(dir).find((one) => /^licen[cs]e/i.test(one))
  const text = file === undefined ? '' : readFileSync(join(dir, file), 'utf8')
  return `${name} ${version}, ${license ?? 'licence below'}\n\n${text.trim()}`
}
