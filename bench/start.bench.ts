import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { table } from '../controller/cli/table.ts'
import { duration } from '../controller/cli/words.ts'
import { median } from './lib/measure.ts'

/** How long the programs take to start, against Node's own start. Taken in turns, 25 each. */
const rounds = 25
const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname
const node = process.execPath
const dir = mkdtempSync(join(tmpdir(), 'bench-start-'))
const env = { PATH: process.env['PATH'], HOME: dir, NODE_COMPILE_CACHE: join(dir, 'compiled') }
const programs: [name: string, argv: string[]][] = [
  ['node -e 0', [node, '-e', '0']],
  ['deployctl --version', [node, at('bin/deployctl.cjs'), '--version']],
  ['deployctl --help (bundle)', [node, at('dist/deployctl.js'), '--help']],
  ['deployctl --help (source)', [node, at('controller/cli/main.ts'), '--help']],
  ['deploy-agent --version (bundle)', [node, at('dist/deploy-agent.js'), '--version']],
]
const times = new Map(programs.map(([name]) => [name, [] as number[]]))
try {
  for (let round = 0; round <= rounds; round++)
    for (const [name, [program = '', ...args]] of programs) {
      const began = performance.now()
      const { status } = spawnSync(program, args, { env, stdio: 'ignore' })
      if (status !== 0) throw new Error(`${name} ended with ${status}`)
      // The first round fills the compile cache.
      if (round > 0) times.get(name)?.push(performance.now() - began)
    }
} finally {
  rmSync(dir, { recursive: true, force: true })
}
const bare = median(times.get('node -e 0') ?? [])
const rows = [...times].map(([name, list]) => [
  name,
  duration(median(list)),
  (median(list) / bare).toFixed(2),
])
console.log(table(['program', 'median', 'of bare Node'], rows))
