import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** Packages from npm, once, in a directory that git ignores; where they are. */
export function fromNpm(name: string, packages: readonly string[]): string {
  const prefix = new URL(`../.cache/${name}`, import.meta.url).pathname
  if (existsSync(join(prefix, 'node_modules'))) return prefix
  mkdirSync(prefix, { recursive: true })
  const quiet = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', ['install', ...quiet, '--prefix', prefix, ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return prefix
}
