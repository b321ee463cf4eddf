import { build } from 'esbuild'
import { rmSync } from 'node:fs'

/**
 * dist/: each program bundled, for publishing; Node does not strip types inside node_modules, and one
 * file starts several times faster than hundreds. Packages with native parts stay outside.
 */
const entries = {
  deployctl: 'controller/cli/main.ts',
  'deploy-agent': 'agent/main.ts',
  'list-worker': 'controller/release/list-worker.ts',
  'hash-worker': 'controller/release/hash-worker.ts',
}
const external = ['better-sqlite3', 'ssh2', 'fastify']

const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname

rmSync(at('dist'), { recursive: true, force: true })
await build({
  entryPoints: Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, at(file)])),
  outdir: at('dist'),
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  external,
  minifySyntax: true,
  legalComments: 'none',
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
})
