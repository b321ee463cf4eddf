import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { libraryDirectory } from '../../shared/formats/service-spec.ts'

type LibraryFile = { path: string; bytes: Buffer }

/** The library as it becomes part of a release whose program is adopted. */
export async function libraryFiles(): Promise<LibraryFile[]> {
  // Published, it lies compiled beside the program; in a clone it is compiled now.
  const compiled = join(import.meta.dirname, 'service')
  if (!existsSync(compiled)) return compileLibrary(join(import.meta.dirname, '../../service'))
  return readdirSync(compiled).map((name) => ({
    path: `${libraryDirectory}/${name}`,
    bytes: readFileSync(join(compiled, name)),
  }))
}

/** JavaScript that any Node from 20 on runs, whatever the project's package.json says. */
export async function compileLibrary(dir: string): Promise<LibraryFile[]> {
  // Only in a clone, where it is there.
  const { transformSync } = await import('esbuild')
  const sources = readdirSync(dir).filter((name) => name.endsWith('.ts'))
  return sources.map((name) => {
    const { code } = transformSync(readFileSync(join(dir, name), 'utf8'), { loader: 'ts', target: 'node20' })
    const renamed = code.replaceAll(/(from "\.\/[a-z-]+)\.ts"/g, '$1.mjs"')
    return {
      path: `${libraryDirectory}/${name.replace(/\.ts$/, '.mjs')}`,
      bytes: Buffer.from(renamed),
    }
  })
}
