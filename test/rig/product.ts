import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = new URL('../..', import.meta.url).pathname

/**
 * deployctl as it is published, in a directory of its own: a version that differs from another.
 * @param change what to do to the agent's bundled program; its first line is a banner of imports
 * @param agent the agent's source
 * @returns the path of its deployctl
 */
export function makeProduct(
  change: (program: string) => string = (program) => program,
  agent = 'agent/main.ts',
): string {
  // As a global install lays it out.
  const dir = join(mkdtempSync(join(tmpdir(), 'product-')), 'lib/node_modules/deployctl')
  mkdirSync(dir, { recursive: true })
  for (const name of ['bin', 'systemd', 'LICENSE', 'package.json'])
    cpSync(join(root, name), join(dir, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  mkdirSync(join(dir, 'dist'))
  execFileSync(process.execPath, [join(root, 'scripts/build.ts'), join(dir, 'dist'), `deploy-agent=${agent}`])
  const program = join(dir, 'dist/deploy-agent.js')
  writeFileSync(program, change(readFileSync(program, 'utf8')))
  return join(dir, 'bin/deployctl.cjs')
}
