import type { AnyNode, Identifier } from 'acorn'
import type { MagicString } from 'magic-string'
import { namesOf, walk, type Syntax } from './syntax.ts'

/**
 * Every use of an imported name reads it from its module, so that it is always the newest value.
 * @param imported by their local name: the expression that reads them
 */
export function replaceImported(
  syntax: Syntax,
  text: MagicString,
  imported: ReadonlyMap<string, string>,
): void {
  if (imported.size === 0) return
  const uses = new Map<number, readonly AnyNode[]>()
  walk(syntax.program, (node, around) => {
    if (node.type === 'Identifier' && imported.has(node.name)) uses.set(node.start, [...around])
  })
  for (const { name, references } of namesOf(syntax).declared) {
    const read = imported.get(name)
    if (read === undefined) continue
    for (const { identifier } of references) {
      const use = identifier as unknown as Identifier
      replace(text, use, read, uses.get(use.start) ?? [])
    }
  }
}

function replace(text: MagicString, use: Identifier, read: string, around: readonly AnyNode[]) {
  const { start, end, name } = use
  const parent = around.at(-1)
  // It is a getter already.
  if (parent?.type === 'ExportSpecifier') return
  const isShort = around.some((one) => one.type === 'Property' && one.shorthand && one.key.start === start)
  if (isShort) return void text.update(start, end, `${name}:${read}`)
  const isCalled =
    (parent?.type === 'CallExpression' &&
      parent.callee.type === 'Identifier' &&
      parent.callee.start === start) ||
    (parent?.type === 'TaggedTemplateExpression' && parent.tag.start === start)
  // As a function of its own, not as a method of its module.
  if (isCalled) text.update(start, end, `${beginsStatement(use, around) ? ';' : ''}(0,${read})`)
  else text.update(start, end, read)
}

const lists = new Set(['Program', 'BlockStatement', 'StaticBlock', 'SwitchCase'])

/** Where a line before that has no semicolon would take a parenthesis for its own. */
function beginsStatement({ start }: Identifier, around: readonly AnyNode[]): boolean {
  const at = around.findLastIndex(({ type }) => type === 'ExpressionStatement')
  return at > 0 && around[at]?.start === start && lists.has(around[at - 1]?.type ?? '')
}
