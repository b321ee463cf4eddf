import type { AnyNode, CallExpression, ObjectExpression } from 'acorn'
import { posix } from 'node:path'
import type { ModuleKind } from '../formats/modules.ts'
import type { Resolver, SourceTree } from './resolve.ts'
import { SourceProblem } from './source-problem.ts'
import { lineOf, parseModule, walk, type Syntax } from './syntax.ts'
import { textOf } from './text-of.ts'

/** What Node itself loads when the program starts. */
export type Cold = {
  /** Modules of the release, each once. */
  paths: Set<string>
  /** Paths that `createHot` is called with; null when nobody calls it. */
  boundaries: string[] | null
}

/** What is known of files that were read before, by their place and content. */
export type KnownCold = Map<string, Found>
type Found = {
  specifiers: { from: string; line: number; how: 'import' | 'require' }[]
  boundaries: string[] | null
}

const isProgram = /\.[cm]?[jt]s$/

/**
 * Follows the entry, and whatever else the command line names, as far as names are written out.
 * @param argv the service's command line
 * @throws SourceProblem for a call of `createHot` that cannot be understood without running it
 */
export function followEntry(
  argv: readonly string[],
  tree: SourceTree,
  resolver: Resolver,
  known: KnownCold,
): Cold {
  const roots = argv.slice(1).map((word) => posix.normalize(word.replace(/^--[a-z-]+=/, '')))
  const waiting = roots.filter((path) => isProgram.test(path) && tree.has(path))
  const entryDir = posix.dirname(waiting.at(0) ?? '.')
  const cold: Cold = { paths: new Set(), boundaries: null }
  const froms = new Map<string, string>()
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (cold.paths.has(path) || path.includes('node_modules/')) continue
    cold.paths.add(path)
    if (!isProgram.test(path)) continue
    const { specifiers, boundaries } = read(path, { tree, resolver, entryDir, known })
    if (boundaries) cold.boundaries = [...(cold.boundaries ?? []), ...boundaries]
    for (const specifier of specifiers) {
      const to = targetOf(specifier, path, resolver)
      if (to === null) continue
      froms.set(to, `${path}:${specifier.line}`)
      waiting.push(to)
    }
  }
  const both = cold.boundaries?.find((path) => cold.paths.has(path))
  if (both === undefined) return cold
  const [importer = '', line] = (froms.get(both) ?? both).split(':')
  throw new SourceProblem(importer, Number(line ?? 1), `it loads ${both} itself; only a handle may`)
}

/** What is not there is Node's to complain about, should the program ever come to ask for it. */
function targetOf({ from, line, how }: Found['specifiers'][number], path: string, resolver: Resolver) {
  try {
    const target = resolver.resolve(from, { path, line, how })
    return 'to' in target ? target.to : null
  } catch (error) {
    if (error instanceof SourceProblem) return null
    throw error
  }
}

type Reading = { tree: SourceTree; resolver: Resolver; entryDir: string; known: KnownCold }

function read(path: string, reading: Reading): Found {
  const { tree, resolver, entryDir, known } = reading
  const key = [resolver.kindOf(path), entryDir, path, tree.digest(path)].join('\n')
  const found = known.get(key) ?? readAnew(path, reading)
  known.set(key, found)
  return found
}

function readAnew(path: string, { tree, resolver, entryDir }: Reading): Found {
  const found: Found = { specifiers: [], boundaries: null }
  const syntax = parsed(path, tree.read(path), resolver.kindOf(path))
  if (syntax === null) return found
  const add = (node: AnyNode, from: string | null, how: 'import' | 'require') => {
    if (from !== null) found.specifiers.push({ from, line: lineOf(node), how })
  }
  walk(syntax.program, (node) => {
    if ('source' in node && node.source && node.type !== 'ImportExpression')
      add(node, String(node.source.value), 'import')
    if (node.type === 'ImportExpression') add(node, textOf(node.source), 'import')
    if (node.type !== 'CallExpression' || node.callee.type !== 'Identifier') return
    const [argument] = node.arguments
    if (node.callee.name === 'require' && argument && syntax.sourceType === 'commonjs')
      add(node, textOf(argument), 'require')
    if (node.callee.name === 'createHot') found.boundaries = boundariesOf(path, node, entryDir)
  })
  return found
}

function parsed(path: string, source: string, kind: ModuleKind | null): Syntax | null {
  try {
    return kind === 'json' ? null : parseModule(path, source, kind)
  } catch (error) {
    if (error instanceof SourceProblem) return null
    throw error
  }
}

/** Of `createHot({ boundaries: ['./app.js'] })`: as the library understands it, from the entry's directory. */
function boundariesOf(path: string, call: CallExpression, entryDir: string): string[] {
  const unclear = (why: string) => new SourceProblem(path, lineOf(call), why)
  const [options] = call.arguments
  if (options?.type !== 'ObjectExpression')
    throw unclear('createHot() is not called with { boundaries: […] }')
  const list = propertyOf(options, 'boundaries')
  if (list?.type !== 'ArrayExpression')
    throw unclear('the boundaries of createHot() are not written out as a list')
  const dir = propertyOf(options, 'from') === null ? entryDir : posix.dirname(path)
  return list.elements.map((element) => {
    const text = element === null ? null : textOf(element)
    if (text === null || !/^\.{1,2}\//.test(text))
      throw unclear('a boundary of createHot() is not a relative path, written out')
    return posix.join(dir, text)
  })
}

function propertyOf({ properties }: ObjectExpression, name: string): AnyNode | null {
  const found = properties.find(
    (one) => one.type === 'Property' && one.key.type === 'Identifier' && one.key.name === name,
  )
  return found?.type === 'Property' ? found.value : null
}
