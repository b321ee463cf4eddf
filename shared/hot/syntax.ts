import { stripTypeScriptTypes } from 'node:module'
import { parse, type AnyNode, type Node, type Program } from 'acorn'
import { analyze, type Reference, type Variable } from 'eslint-scope'
import type * as ESTree from 'estree'
import { SourceProblem } from './source-problem.ts'

export type SourceType = 'module' | 'commonjs'

export type Syntax = {
  sourceType: SourceType
  path: string
  /** What is parsed: TypeScript without its types, everything else at the same place. */
  code: string
  program: Program
}

/** What a file declares at its top, and what it uses that nobody in it declares. */
export type Names = { declared: readonly Variable[]; free: readonly Reference[] }

/** @throws SourceProblem where the text is no JavaScript, nor TypeScript that Node can strip */
export function parseAs(sourceType: SourceType, path: string, source: string): Syntax {
  const code = /\.[cm]?ts$/.test(path) ? stripTypes(path, source) : source
  try {
    const program = parse(code, {
      ecmaVersion: 'latest',
      sourceType,
      allowHashBang: true,
      locations: true,
      ranges: true,
    })
    return { sourceType, path, code, program }
  } catch (error) {
    const { loc, message } = error as SyntaxError & { loc?: { line: number } }
    throw new SourceProblem(path, loc?.line ?? 1, message.replace(/ \(\d+:\d+\)$/, ''), true)
  }
}

/**
 * @param kind null where only the text can tell: what is no CommonJS is then an ES module, as for Node
 * @throws SourceProblem
 */
export function parseModule(path: string, source: string, kind: 'esm' | 'cjs' | null): Syntax {
  if (kind !== null) return parseAs(kind === 'esm' ? 'module' : 'commonjs', path, source)
  try {
    return parseAs('commonjs', path, source)
  } catch {
    return parseAs('module', path, source)
  }
}

function stripTypes(path: string, source: string): string {
  const emitWarning = process.emitWarning.bind(process)
  // Node says with the first call that this is new; it has run TypeScript that way since version 22.
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } catch (error) {
    throw new SourceProblem(path, 1, error instanceof Error ? error.message : String(error), true)
  } finally {
    process.emitWarning = emitWarning
  }
}

export function namesOf({ program, sourceType }: Syntax): Names {
  const options = { ecmaVersion: 2025, sourceType, fallback: 'iteration' } as const
  const { globalScope } = analyze(program as unknown as ESTree.Program, options)
  return { declared: globalScope?.childScopes[0]?.variables ?? [], free: globalScope?.through ?? [] }
}

/** Every node before what is in it, with the nodes around it, innermost last. */
export function walk(program: Program, visit: (node: AnyNode, around: readonly AnyNode[]) => void): void {
  const around: AnyNode[] = []
  const go = (node: AnyNode) => {
    visit(node, around)
    around.push(node)
    for (const value of Object.values(node) as unknown[])
      for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) if (isNode(child)) go(child)
    around.pop()
  }
  go(program)
}

const isNode = (value: unknown): value is AnyNode =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

export const lineOf = (node: Pick<Node, 'loc'>): number => node.loc?.start.line ?? 1

const deferring = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'StaticBlock',
])

/** Whether it runs when the module is evaluated, not when something in it is called. */
export const isAtTop = (node: AnyNode, around: readonly AnyNode[]): boolean =>
  !around.some((one, at) => {
    const inner = around[at + 1] ?? node
    return deferring.has(one.type) || (one.type === 'PropertyDefinition' && one.value === inner)
  })
