import { readFileSync } from 'node:fs'
import { SourceMap, findSourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** What Node 24 has there; before, there was nothing. */
const nodesOwn = 'ErrorPrepareStackTrace'
const mapsKept = 500
const maps = new Map<string, SourceMap | null>()

/**
 * Where Node was told to follow source maps (--enable-source-maps), stack traces name the lines of the
 * sources for swapped modules too: Node itself does so only for what it has loaded.
 */
export function followSourceMaps(): void {
  const { sourceMapsEnabled } = process as { sourceMapsEnabled?: boolean }
  const { prepareStackTrace: set } = Error as { prepareStackTrace?: { name: string } }
  // A program that has its own way of writing them keeps it.
  if (!sourceMapsEnabled || (set && set.name !== nodesOwn)) return
  Error.prepareStackTrace = (error: unknown, sites: NodeJS.CallSite[]) =>
    [String(error), ...sites.map((site) => `    at ${describe(site)}`)].join('\n')
}

function describe(site: NodeJS.CallSite): string {
  const plain = (site as { toString(): string }).toString()
  const [file, line, column] = [site.getFileName(), site.getLineNumber(), site.getColumnNumber()]
  if (!file || line === null || column === null) return plain
  const entry = mapOf(file)?.findEntry(line - 1, column - 1)
  if (!entry || !('originalSource' in entry)) return plain
  const source = `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  return plain.replace(/[^\s()]+:\d+:\d+/, source)
}

function mapOf(file: string): SourceMap | null {
  const known = maps.get(file)
  if (known !== undefined) return known
  // Files of former releases are asked for no more.
  if (maps.size >= mapsKept) maps.clear()
  const found = findSourceMap(file) ?? readMap(file)
  maps.set(file, found)
  return found
}

/** Of a module that was not loaded by Node: from the file itself, which lies in the release as it was. */
function readMap(file: string): SourceMap | null {
  try {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file
    const name = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(readFileSync(path, 'utf8'))?.[1]
    if (name === undefined) return null
    const inline = /^data:application\/json[^,]*;base64,(.*)$/.exec(name)?.[1]
    const mapFile = resolve(dirname(path), decodeURI(name))
    const text =
      inline === undefined ? readFileSync(mapFile, 'utf8') : Buffer.from(inline, 'base64').toString()
    const payload = JSON.parse(text) as ConstructorParameters<typeof SourceMap>[0]
    const base = pathToFileURL(inline === undefined ? mapFile : path)
    const sources = payload.sources.map((one) => new URL(one, base).href)
    return new SourceMap({ ...payload, sources })
  } catch {
    return null
  }
}
