import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The dashboard's files by name. */
export type Pages = ReadonlyMap<string, Buffer>

/** The dashboard's files, bundled from their sources; published packages have them ready. */
export async function bundlePages(): Promise<Pages> {
  const { build } = await import('esbuild')
  const at = (name: string) => join(import.meta.dirname, name)
  const { outputFiles } = await build({
    entryPoints: { app: at('main.tsx') },
    outdir: '/',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
  })
  const files = outputFiles.map(({ path, contents }) => [path.slice(1), Buffer.from(contents)] as const)
  const plain = ['index.html', 'icon.svg'].map((name) => [name, readFileSync(at(name))] as const)
  return new Map([...plain, ...files])
}
