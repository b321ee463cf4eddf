import { createHmac } from 'node:crypto'

/** One usable line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
type Line = {
  marker: '' | '@revoked' | '@cert-authority'
  patterns: string
  type: string
  key: string
  file: string
  line: number
}

export type KnownHosts = readonly Line[]

export type HostKeyVerdict =
  | { verdict: 'known' | 'revoked'; file: string; line: number }
  /** Another key of the same type is known: the lines that say so. */
  | { verdict: 'changed'; known: readonly { key: string; file: string; line: number }[] }
  | { verdict: 'unknown' }

/** Lines that make no sense are left out, as ssh does: one bad line must not hide the others. */
export function parseKnownHosts(text: string, file: string): KnownHosts {
  return text.split('\n').flatMap((raw, index) => {
    const fields = raw.trim().split(/\s+/)
    const marked = fields[0]?.startsWith('@') ?? false
    const [marker = '', patterns = '', type = '', key = ''] = marked ? fields : ['', ...fields]
    const known = marker === '' || marker === '@revoked' || marker === '@cert-authority'
    if (!known || patterns.startsWith('#') || !key) return []
    return [{ marker, patterns, type, key, file, line: index + 1 }]
  })
}

/**
 * What the files say of a host's key. A key that is revoked anywhere is revoked; certificate
 * authorities vouch for certificates and never for a plain key.
 * @param key base64 of the wire form
 */
export function judgeHostKey(
  lines: KnownHosts,
  host: string,
  port: number,
  type: string,
  key: string,
): HostKeyVerdict {
  const name = hostName(host, port)
  const ours = lines.filter((line) => matches(line.patterns, name))
  const revoked = ours.find((line) => line.marker === '@revoked' && line.key === key)
  if (revoked) return { verdict: 'revoked', file: revoked.file, line: revoked.line }
  const plain = ours.filter((line) => line.marker === '')
  const same = plain.find((line) => line.key === key && line.type === type)
  if (same) return { verdict: 'known', file: same.file, line: same.line }
  const others = plain.filter((line) => line.type === type)
  return others.length > 0 ? { verdict: 'changed', known: others } : { verdict: 'unknown' }
}

/** The keys known for a host: of their type, in base64. */
export function knownKeys(lines: KnownHosts, host: string, port: number): { type: string; key: string }[] {
  const name = hostName(host, port)
  return lines.filter((line) => line.marker === '' && matches(line.patterns, name))
}

/** The key types known for a host, so that the connection asks for one that can be checked. */
export const knownKeyTypes = (lines: KnownHosts, host: string, port: number): string[] => [
  ...new Set(knownKeys(lines, host, port).map(({ type }) => type)),
]

/** As ssh writes it: the bare name on port 22, `[name]:port` on any other; names in lower case. */
export function hostName(host: string, port: number): string {
  const lower = host.toLowerCase()
  return port === 22 ? lower : `[${lower}]:${port}`
}

function matches(patterns: string, name: string): boolean {
  if (patterns.startsWith('|')) return matchesHash(patterns, name)
  const list = patterns.toLowerCase().split(',')
  if (list.some((pattern) => pattern.startsWith('!') && matchesGlob(pattern.slice(1), name))) return false
  return list.some((pattern) => !pattern.startsWith('!') && matchesGlob(pattern, name))
}

/** `|1|salt|hash`: HMAC-SHA1 of the name, so that a stolen file does not tell where its owner connects. */
function matchesHash(field: string, name: string): boolean {
  const [, version, salt = '', hash = ''] = field.split('|')
  if (version !== '1' || !salt) return false
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
}

/** `*` and `?` only. Matched step by step: a pattern from a file must not cost exponential time. */
function matchesGlob(pattern: string, name: string): boolean {
  let [at, star, retry] = [0, -1, 0]
  let index = 0
  while (index < name.length) {
    if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[index]) && pattern[at] !== '*') {
      at += 1
      index += 1
    } else if (pattern[at] === '*') {
      star = at
      retry = index
      at += 1
    } else if (star >= 0) {
      at = star + 1
      retry += 1
      index = retry
    } else return false
  }
  while (pattern[at] === '*') at += 1
  return at === pattern.length
}
