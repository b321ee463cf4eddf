import { DeployError } from '../errors.ts'

export type JsonLimits = { bytes: number; depth: number }

const tokens = /[[\]{}:,]|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null/g

/**
 * JSON as signed documents use it. Beyond JSON.parse it refuses invalid UTF-8, a byte order mark,
 * duplicate keys (two readers may pick different ones), `__proto__`, numbers that a double cannot
 * hold exactly, and more than the given bytes or depth.
 * @throws DeployError E_DOCUMENT_INVALID
 */
export function parseStrictJson(bytes: Uint8Array, what: string, limits: JsonLimits): unknown {
  const refuse = (why: string, cause?: unknown) =>
    new DeployError('E_DOCUMENT_INVALID', { what, why }, { cause })
  if (bytes.length > limits.bytes) throw refuse(`it is longer than ${limits.bytes} bytes`)
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw refuse('it is not JSON', cause)
  }
  const why = isPlainlyStrict(text, value, limits.depth) ? null : whatIsLoose(text, limits.depth)
  if (why) throw refuse(why)
  return value
}

/**
 * What our own documents are: exactly what JSON.stringify makes of their value, so that nothing was
 * dropped or rounded in reading. Five times as fast as the scan, which tells the rest apart.
 */
function isPlainlyStrict(text: string, value: unknown, maxDepth: number): boolean {
  const isSuspicious = text.includes('"__proto__"') || /[:,[]-?\d{16}/.test(text)
  return !isSuspicious && isWithin(value, maxDepth) && `${JSON.stringify(value)}\n` === text
}

function isWithin(value: unknown, depth: number): boolean {
  if (value === null || typeof value !== 'object') return true
  return depth > 0 && (Object.values(value) as unknown[]).every((inner) => isWithin(inner, depth - 1))
}

/** What JSON.parse accepted and we do not; the text is known to be JSON, so a scan of tokens will do. */
function whatIsLoose(text: string, maxDepth: number): string | null {
  const keys: (Set<string> | null)[] = []
  let previous = ''
  for (const [token] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') {
      keys.push(token === '{' ? new Set() : null)
      if (keys.length > maxDepth) return `it is nested deeper than ${maxDepth}`
    } else if (token === '}' || token === ']') {
      keys.pop()
    } else if (token === ':') {
      const key = JSON.parse(previous) as string
      const seen = keys.at(-1)
      if (seen?.has(key)) return `the key ${JSON.stringify(key)} is there twice`
      if (key === '__proto__') return 'the key "__proto__" is not allowed'
      seen?.add(key)
    } else if (/^[-\d]/.test(token)) {
      const number = Number(token)
      if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number)))
        return `the number ${token.slice(0, 40)} is too large to be exact`
    }
    previous = token
  }
  return null
}
