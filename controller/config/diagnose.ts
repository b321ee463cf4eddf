import { closest, distance } from 'fastest-levenshtein'
import { LineCounter, isMap, isNode, type Document } from 'yaml'
import type { Issue, TSchema } from '../../shared/schema.ts'

export type Diagnosis = { line: number; column: number; detail: string }

/** A key further away than this is no spelling mistake. */
const maxSpellingDistance = 3

/**
 * What is wrong in a document, at its place: the first issue that a person can act on.
 * Issues come from the schema's check, where a union reports every branch; only the branch whose
 * `type` was meant is of interest.
 */
export function diagnose(
  issues: readonly Issue[],
  schema: TSchema,
  document: Document,
  lines: LineCounter,
): Diagnosis {
  const relevant = issues.filter((issue) => !isOtherBranch(issue, issues))
  // A key that is misspelt is missing as well: the misspelling is what a person can see.
  const issue =
    relevant.find(({ keyword }) => keyword === 'additionalProperties') ??
    relevant.find(({ keyword }) => keyword !== 'anyOf') ??
    relevant[0] ??
    issues[0]
  if (!issue) return { line: 1, column: 1, detail: 'it has the wrong shape' }
  const path = pointerParts(issue.path)
  const unknown = (issue.params['additionalProperties'] as string[] | undefined)?.[0]
  const where = unknown === undefined ? path : [...path, unknown]
  const choices = issues.filter(({ keyword, path: at }) => keyword === 'const' && at === issue.path)
  const detail =
    issue.keyword === 'const'
      ? `${path.join('.')} must be ${choices.map(({ params }) => JSON.stringify(params['allowedValue'])).join(' or ')}`
      : explain(issue, path, unknown, schema)
  return { ...placeOf(document, where, lines), detail }
}

/** In a branch of a union that another `type` belongs to. */
function isOtherBranch(issue: Issue, all: readonly Issue[]): boolean {
  const branches = [...issue.at.matchAll(/\/anyOf\/\d+/g)].map(({ index, 0: part }) =>
    issue.at.slice(0, index + part.length),
  )
  return branches.some((branch) =>
    all.some(
      ({ at, keyword, path }) =>
        at.startsWith(`${branch}/`) &&
        ((keyword === 'const' && path.endsWith('/type')) || isShape(at, keyword, branch, issue)),
    ),
  )
}

/** A string where the branch is an object, or the other way round. */
const isShape = (at: string, keyword: string, branch: string, issue: Issue) =>
  keyword === 'type' && at === branch && issue.at.startsWith(branch)

function explain(
  issue: Issue,
  path: readonly string[],
  unknown: string | undefined,
  schema: TSchema,
): string {
  const name = path.join('.') || 'deploy.yaml'
  const { params } = issue
  if (unknown !== undefined) {
    const allowed = Object.keys((schemaAt(schema, issue.at)?.['properties'] as object | undefined) ?? {})
    if (allowed.length === 0) return `"${unknown}" is not a name that can stand here`
    const near = closest(unknown, allowed)
    const hint =
      distance(unknown, near) <= maxSpellingDistance
        ? `did you mean "${near}"?`
        : `known here: ${allowed.join(', ')}`
    return `unknown key "${unknown}"${path.length > 0 ? ` in ${name}` : ''}; ${hint}`
  }
  if (issue.keyword === 'required')
    return `${name} needs ${(params['requiredProperties'] as string[] | undefined)?.map((key) => `"${key}"`).join(', ')}`
  if (issue.keyword === 'type') return `${name} must be ${article(String(params['type']))}`
  if (issue.keyword === 'anyOf') return `${name} must be ${alternatives(schemaAt(schema, issue.at))}`
  if (issue.keyword === 'pattern') return `${name} has characters or a form that are not allowed there`
  return `${name} ${issue.message}`
}

const article = (type: string) =>
  type === 'array'
    ? 'a list'
    : type === 'object'
      ? 'a mapping'
      : /^[aeiou]/.test(type)
        ? `an ${type}`
        : `a ${type}`

function alternatives(schema: Record<string, unknown> | undefined): string {
  const branches = (schema?.['anyOf'] as Record<string, unknown>[] | undefined) ?? []
  const words = branches.map((branch) => {
    if (branch['const'] !== undefined) return JSON.stringify(branch['const'])
    const kind = (branch['properties'] as Record<string, { const?: unknown }> | undefined)?.['type']?.const
    return kind === undefined ? article(String(branch['type'])) : `one of type ${JSON.stringify(kind)}`
  })
  return words.join(' or ')
}

const pointerParts = (pointer: string) =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))

function schemaAt(schema: TSchema, at: string): Record<string, unknown> | undefined {
  let here: unknown = schema
  // Names in a pattern may hold slashes, but no schema of ours has such a pattern at this place.
  for (const part of pointerParts(at.replace(/^#/, '')))
    here = (here as Record<string, unknown> | undefined)?.[part]
  return here as Record<string, unknown> | undefined
}

/** The place of a key or value; of the nearest one around it when it is not there. */
function placeOf(document: Document, path: readonly string[], lines: LineCounter) {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const key = path[length - 1]
    const pair = isMap(parent) ? parent.items.find(({ key: one }) => String(one) === key) : undefined
    const node = pair?.key ?? (length === 0 ? parent : document.getIn(path.slice(0, length), true))
    if (isNode(node) && node.range) {
      const { line, col } = lines.linePos(node.range[0])
      return { line, column: col }
    }
  }
  return { line: 1, column: 1 }
}
