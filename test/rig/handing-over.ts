import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { compileLibrary } from '../../controller/release/library.ts'

const at = (path: string) => new URL(`../../${path}`, import.meta.url).pathname

/** Makes a project one whose service has the library. */
export async function useFullService(project: string): Promise<void> {
  copyFileSync(at('test/fixtures/full-service.js'), join(project, 'server.mjs'))
  mkdirSync(join(project, 'library'), { recursive: true })
  for (const { path, bytes } of await compileLibrary(at('service')))
    writeFileSync(join(project, 'library', basename(path)), bytes)
}
