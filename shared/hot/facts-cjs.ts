import type { AnyNode, CallExpression } from 'acorn'
import { noFacts, type Facts, type Specifier } from './facts.ts'
import { SourceProblem } from './source-problem.ts'
import { lineOf, namesOf, walk, type Syntax } from './syntax.ts'
import { textOf } from './text-of.ts'

const ownPlace = new Set(['__filename', '__dirname'])

/**
 * What a CommonJS file needs. Its text stays as it is: what it requires is asked for when it does.
 * @throws SourceProblem where that cannot be known beforehand
 */
export function factsOfCommonJs(syntax: Syntax): Facts {
  const { free } = namesOf(syntax)
  const requires = new Set(
    free
      .filter(({ identifier }) => identifier.name === 'require')
      .map(({ identifier }) => startOf(identifier)),
  )
  const lazy: Specifier[] = []
  walk(syntax.program, (node) => {
    if (node.type === 'ImportExpression')
      throw new SourceProblem(syntax.path, lineOf(node), 'import() in a CommonJS file')
    if (node.type !== 'CallExpression' || !requires.has(node.callee.start)) return
    if (node.callee.type === 'Identifier') lazy.push(required(syntax, node))
  })
  const locatesItself = free.some(({ identifier }) => ownPlace.has(identifier.name))
  return { ...noFacts('cjs', syntax.code), lazy, locatesItself }
}

const startOf = (node: unknown) => (node as AnyNode).start

function required({ path }: Syntax, node: CallExpression): Specifier {
  const [argument] = node.arguments
  const from = argument ? textOf(argument) : null
  if (from !== null) return { from, line: lineOf(node) }
  throw new SourceProblem(path, lineOf(node), 'require() of a name that is only known when it runs')
}
