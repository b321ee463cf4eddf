import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { compileLibrary } from '../controller/release/library.ts'

/** service/dist: what `npm pack service` and an installation from a clone contain. */
const root = join(import.meta.dirname, '..')
const dir = join(root, 'service')
const out = join(dir, 'dist')
rmSync(out, { recursive: true, force: true })
mkdirSync(out)
for (const { path, bytes } of await compileLibrary(dir)) writeFileSync(join(out, basename(path)), bytes)
execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', dir, '--outDir', out], { stdio: 'inherit' })
