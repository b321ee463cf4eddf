import { createHash } from 'node:crypto'
import { DeployError } from '../errors.ts'
import type { Parser } from '../schema.ts'
import { parseStrictJson, type JsonLimits } from './strict-json.ts'

const defaultLimits: JsonLimits = { bytes: 64 * 1024 * 1024, depth: 32 }

/** Lower-case hex. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The one form of a document: keys sorted, no white space, a final newline. */
export function encodeDocument(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(sorted(value))}\n`)
}

/**
 * A document's value, parsed strictly and checked by its schema.
 * @throws DeployError E_DOCUMENT_INVALID with the place of the first issue
 */
export function parseDocument<T>(
  parser: Parser<T>,
  bytes: Uint8Array,
  what: string,
  limits: JsonLimits = defaultLimits,
): T {
  const value = parseStrictJson(bytes, what, limits)
  if (parser.check(value)) return value
  const [issue] = parser.issues(value)
  const why = issue ? `${issue.path || '/'} ${issue.message}` : 'it has the wrong shape'
  throw new DeployError('E_DOCUMENT_INVALID', { what, why })
}

/** Itself where its keys are in order already: a manifest has ten thousand such entries. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  const keys = Object.keys(value)
  const values = Object.values(value) as unknown[]
  const isInOrder = keys.every((key, index) => index === 0 || (keys[index - 1] ?? '') < key)
  if (isInOrder && values.every(isPlain)) return value
  const entries = keys.map((key, index) => [key, sorted(values[index])] as const)
  return Object.fromEntries(isInOrder ? entries : entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

const isPlain = (value: unknown) => value === null || typeof value !== 'object'
