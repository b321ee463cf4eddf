import type {
  AnyNode,
  ExportAllDeclaration,
  ExportDefaultDeclaration,
  ExportNamedDeclaration,
  Identifier,
  ImportDeclaration,
  Literal,
  ModuleDeclaration,
  Pattern,
} from 'acorn'
import { MagicString } from 'magic-string'
import { noFacts, type Facts } from './facts.ts'
import { SourceProblem } from './source-problem.ts'
import { replaceImported } from './replace-imports.ts'
import { isAtTop, lineOf, walk, type Syntax } from './syntax.ts'
import { textOf } from './text-of.ts'

type Names = { hot: string; fallback: string }
type Transforming = {
  syntax: Syntax
  text: MagicString
  names: Names
  facts: Facts
  /** Imported names, by their local one: the expression that reads them now. */
  imported: Map<string, string>
  /** Exported name → expression. */
  getters: Map<string, string>
}

/**
 * An ES module as an expression of a generator function, which the library drives: called with an object
 * `{ import, meta }`, its first step hands out getters of its exports and a function that takes the
 * namespaces of its imports; the second evaluates it. Linking and evaluating can so fail apart, before
 * anything else has changed. Every line stays where it was, so that stack traces are right.
 * @throws SourceProblem for what cannot be done that way
 */
export function transformEsm(syntax: Syntax): Facts {
  const { code, program } = syntax
  const facts = noFacts('esm')
  const hot = unusedName(code, '$hot')
  const t: Transforming = {
    syntax,
    text: new MagicString(code),
    names: { hot, fallback: `${hot}Default` },
    facts,
    imported: new Map(),
    getters: new Map(),
  }
  if (code.startsWith('#!')) t.text.update(0, 2, '//')
  // All imports first: an export may pass on what is imported further down.
  for (const node of program.body) if (node.type === 'ImportDeclaration') takeImport(t, node)
  for (const node of program.body) takeExport(t, node)
  takeExpressions(t)
  replaceImported(syntax, t.text, t.imported)
  facts.exports = [...t.getters.keys()]
  t.text.prepend(prologue(t)).append('\n})')
  facts.code = t.text.toString()
  return facts
}

function unusedName(code: string, wish: string): string {
  let name = wish
  while (code.includes(name)) name += '$'
  return name
}

function prologue({ names: { hot, fallback }, facts, getters, syntax }: Transforming): string {
  const spaces = facts.imports.map((_, n) => `${hot}${n}`).join(',')
  const own = [...getters].map(([name, read]) => `${JSON.stringify(name)}:()=>${read}`).join(',')
  // That it names the object makes that live as long as any function of the module.
  const link = `(${hot}_)=>{${spaces ? `[${spaces}]=${hot}_;` : ''}${hot}}`
  // A function without a name is called `default`, and is there before the module is evaluated.
  const isNamed = syntax.program.body.some(
    (node) => node.type === 'ExportDefaultDeclaration' && isNamelessFunction(node.declaration),
  )
  const name = isNamed ? `Object.defineProperty(${fallback},"name",{value:"default",configurable:true});` : ''
  return `(${facts.isAsync ? 'async ' : ''}function*(${hot}){"use strict";${spaces ? `let ${spaces};` : ''}${name}yield[{${own}},${link}];`
}

const nameOf = (node: Identifier | Literal): string =>
  node.type === 'Identifier' ? node.name : String(node.value)

const property = (name: string) =>
  /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`

/** Number of the import; those of the same text are one. */
function importOf(
  { facts }: Transforming,
  node: ImportDeclaration | ExportNamedDeclaration | ExportAllDeclaration,
) {
  const from = String(node.source?.value)
  const attributes = Object.fromEntries(
    node.attributes.map(({ key, value }) => [nameOf(key), String(value.value)]),
  )
  const same = facts.imports.findIndex(
    (one) => one.from === from && JSON.stringify(one.attributes) === JSON.stringify(attributes),
  )
  if (same >= 0) return same
  return facts.imports.push({ from, attributes, names: [], line: lineOf(node) }) - 1
}

/** Takes a statement out, and leaves its lines. */
function blank({ text, syntax }: Transforming, { start, end }: { start: number; end: number }) {
  text.update(start, end, `;${linesOf(syntax.code.slice(start, end))}`)
}
const linesOf = (code: string) => code.replace(/[^\n\u2028\u2029]/g, '')

function takeImport(t: Transforming, node: ImportDeclaration) {
  const number = importOf(t, node)
  const space = `${t.names.hot}${number}`
  for (const specifier of node.specifiers) {
    const { local } = specifier
    if (specifier.type === 'ImportNamespaceSpecifier') {
      t.imported.set(local.name, space)
      continue
    }
    const name = specifier.type === 'ImportDefaultSpecifier' ? 'default' : nameOf(specifier.imported)
    t.facts.imports[number]?.names.push(name)
    t.imported.set(local.name, space + property(name))
  }
  blank(t, node)
}

function takeExport(t: Transforming, node: AnyNode) {
  if (node.type === 'ExportNamedDeclaration') takeNamed(t, node)
  if (node.type === 'ExportDefaultDeclaration') takeDefault(t, node)
  if (node.type !== 'ExportAllDeclaration') return
  const of = importOf(t, node)
  if (node.exported) t.facts.reexports.push({ as: nameOf(node.exported), of, name: null })
  else t.facts.stars.push(of)
  blank(t, node)
}

function takeNamed(t: Transforming, node: ExportNamedDeclaration) {
  const { declaration, source } = node
  if (declaration) {
    const names =
      declaration.type === 'VariableDeclaration'
        ? declaration.declarations.flatMap(({ id }) => boundNames(id))
        : [declaration.id.name]
    for (const name of names) t.getters.set(name, name)
    t.facts.version ??= versionIn(declaration)
    return unexport(t, node, declaration)
  }
  if (source) {
    const of = importOf(t, node)
    for (const { local, exported } of node.specifiers) {
      t.facts.imports[of]?.names.push(nameOf(local))
      t.facts.reexports.push({ as: nameOf(exported), of, name: nameOf(local) })
    }
  } else
    for (const { local, exported } of node.specifiers) {
      const own = nameOf(local)
      t.getters.set(nameOf(exported), t.imported.get(own) ?? own)
    }
  blank(t, node)
}

/** Takes the word `export` away. */
function unexport({ text, syntax }: Transforming, node: ModuleDeclaration, { start }: { start: number }) {
  text.update(node.start, start, linesOf(syntax.code.slice(node.start, start)) || ' ')
}

function takeDefault(t: Transforming, node: ExportDefaultDeclaration) {
  const { text, syntax, names, getters } = t
  const { declaration } = node
  const isDeclared = declaration.type === 'FunctionDeclaration' || declaration.type === 'ClassDeclaration'
  if (isDeclared && declaration.id) {
    getters.set('default', declaration.id.name)
    return unexport(t, node, declaration)
  }
  getters.set('default', names.fallback)
  if (isNamelessFunction(declaration)) {
    unexport(t, node, declaration)
    const keyword = /^(?:async\b\s*)?function\s*\*?/.exec(syntax.code.slice(declaration.start))?.[0] ?? ''
    text.appendLeft(declaration.start + keyword.length, ` ${names.fallback}`)
    return
  }
  // As a property it gets the name `default` where it has none. It may stand in parentheses of its own.
  const { length } =
    /^export(?:\s|\/\*[^]*?\*\/|\/\/.*)*default/.exec(syntax.code.slice(node.start))?.[0] ?? ''
  const head = syntax.code.slice(node.start, node.start + length)
  text.update(node.start, node.start + length, `const ${names.fallback}={default:${linesOf(head)}`)
  const isClosed = node.end > declaration.end && syntax.code[node.end - 1] === ';'
  text.appendLeft(isClosed ? node.end - 1 : node.end, '}.default;')
}

const isNamelessFunction = (node: ExportDefaultDeclaration['declaration']) =>
  node.type === 'FunctionDeclaration' && !node.id

function boundNames(pattern: Pattern): string[] {
  switch (pattern.type) {
    case 'Identifier':
      return [pattern.name]
    case 'ObjectPattern':
      return pattern.properties.flatMap((one) =>
        boundNames(one.type === 'RestElement' ? one.argument : one.value),
      )
    case 'ArrayPattern':
      return pattern.elements.flatMap((one) => (one ? boundNames(one) : []))
    case 'AssignmentPattern':
      return boundNames(pattern.left)
    case 'RestElement':
      return boundNames(pattern.argument)
    default:
      return []
  }
}

function versionIn(declaration: NonNullable<ExportNamedDeclaration['declaration']>): number | null {
  if (declaration.type !== 'VariableDeclaration' || declaration.kind !== 'const') return null
  const found = declaration.declarations.find(({ id }) => id.type === 'Identifier' && id.name === 'version')
  const value = found?.init?.type === 'Literal' ? found.init.value : null
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}

function takeExpressions(t: Transforming) {
  const { syntax, text, names, facts } = t
  const refuse = (node: AnyNode, why: string) => new SourceProblem(syntax.path, lineOf(node), why)
  walk(syntax.program, (node, around) => {
    if (node.type === 'MetaProperty' && node.meta.name === 'import') {
      text.update(node.start, node.end, `${names.hot}.meta`)
      const parent = around.at(-1)
      const asked =
        parent?.type === 'MemberExpression' && !parent.computed ? nameOf(parent.property as Identifier) : ''
      if (!['resolve', 'main', 'env'].includes(asked)) facts.locatesItself = true
    }
    if (node.type === 'ImportExpression') {
      const from = textOf(node.source)
      if (from === null) throw refuse(node, 'import() of a name that is only known when it runs')
      facts.lazy.push({ from, line: lineOf(node) })
      text.update(node.start, node.start + 'import'.length, `${names.hot}.import`)
    }
    const isAwait =
      node.type === 'AwaitExpression' ||
      (node.type === 'ForOfStatement' && node.await) ||
      (node.type === 'VariableDeclaration' && (node.kind as string) === 'await using')
    if (isAwait && isAtTop(node, around)) facts.isAsync = true
    const isEval =
      node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === 'eval'
    if (isEval) throw refuse(node, 'eval() may use what is imported under names that are no more')
  })
}
