import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where deployctl puts the modules of a release as they can be swapped in: its shared/formats/modules.ts. */
const hotDirectory = '.deployctl/hot'

/** A module of the program, one that its entry loaded by itself, or what Node finds by that name. */
export type Link = { to: string } | { cold: string } | { native: string }

/** First line of a transformed file, as deployctl's shared/hot/graph.ts writes it. */
export type Header = {
  kind: 'esm' | 'cjs' | 'json'
  isAsync: boolean
  imports: (Link & { from: string; names: string[]; with?: Record<string, string> })[]
  reexports: { as: string; of: number; name: string | null }[]
  stars: number[]
  lazy: Record<string, Link>
}

export type ModuleFile = { header: Header; code: string; sha256: string }

const jsonHeader: Header = { kind: 'json', isAsync: false, imports: [], reexports: [], stars: [], lazy: {} }

/** @param root of a release @throws Error when it is not there */
export function readModule(root: string, path: string): ModuleFile {
  const isJson = path.endsWith('.json')
  const bytes = readFileSync(isJson ? join(root, path) : join(root, hotDirectory, path))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const text = bytes.toString()
  if (isJson) return { header: jsonHeader, code: text, sha256 }
  const end = text.indexOf('\n')
  return { header: JSON.parse(text.slice('//'.length, end)) as Header, code: text.slice(end + 1), sha256 }
}
