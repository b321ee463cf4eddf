import { access, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { DeployError } from '../../shared/errors.ts'
import { publicSockets, socketProblem } from '../../shared/formats/sockets.ts'
import { parserOf } from '../../shared/schema.ts'
import { diagnose } from './diagnose.ts'
import { Config } from './schema.ts'

export const configName = 'deploy.yaml'
const parser = parserOf(Config)
const maxBytes = 1024 * 1024

/** A configuration and the directory it stands in; all its paths are relative to that. */
export type Project = { file: string; dir: string; config: Config }

/** Finds deploy.yaml in `dir` or above it. @throws DeployError E_CONFIG_MISSING, E_CONFIG_INVALID */
export async function loadProject(dir: string): Promise<Project> {
  const file = await findConfig(dir)
  if (file === null) throw new DeployError('E_CONFIG_MISSING', { dir })
  const text = await readFile(file, 'utf8')
  return { file, dir: dirname(file), config: parseConfig(text, relative(dir, file) || configName) }
}

/** @param name how the file is called in messages @throws DeployError E_CONFIG_INVALID */
export function parseConfig(text: string, name: string): Config {
  const lines = new LineCounter()
  if (text.length > maxBytes) throw invalid(name, 1, 1, 'it is too large')
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    merge: true,
    prettyErrors: false,
    // What it would warn of, the schema refuses; it must not write on the screen by itself.
    logLevel: 'error',
  })
  const [error] = document.errors
  if (error) {
    const { line, col } = lines.linePos(error.pos[0])
    throw invalid(name, Math.max(1, line), Math.max(1, col), error.message)
  }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw invalid(name, 1, 1, cause instanceof Error ? cause.message : String(cause))
  }
  if (parser.check(value)) return checkReferences(value, name)
  const { line, column, detail } = diagnose(parser.issues(value), Config, document, lines)
  throw invalid(name, line, column, detail)
}

/** What a schema cannot say: names that must exist, and values that exclude each other. */
function checkReferences(config: Config, name: string): Config {
  const sockets = config.run.sockets ?? []
  const names = new Set(publicSockets(sockets).map((socket) => socket.name))
  const problem = socketProblem(sockets)
  if (problem !== null) throw invalid(name, 1, 1, problem)
  for (const probe of config.health?.probes ?? []) {
    if (probe.type === 'command') continue
    const own = probe.type === 'http' ? probe.url : probe.port
    if (probe.socket !== undefined && !names.has(probe.socket))
      throw invalid(
        name,
        1,
        1,
        `a ${probe.type} probe names the socket "${probe.socket}", which is not in run.sockets`,
      )
    if (own === undefined && names.size === 0)
      throw invalid(
        name,
        1,
        1,
        `a ${probe.type} probe needs a socket in run.sockets, or an address of its own`,
      )
  }
  return config
}

const invalid = (file: string, line: number, column: number, detail: string) =>
  new DeployError('E_CONFIG_INVALID', { file, line, column, detail })

/** The deploy.yaml in `dir` or above it; null where there is none. */
export async function findConfig(dir: string): Promise<string | null> {
  for (let at = dir; ; at = dirname(at)) {
    const file = join(at, configName)
    const there = await access(file).then(
      () => true,
      () => false,
    )
    if (there) return file
    if (at === dirname(at)) return null
  }
}
