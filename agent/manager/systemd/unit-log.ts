import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { LogLine } from '../../../shared/wire/api.ts'

const maxLineChars = 16 * 1024

type Entry = Record<string, unknown>

/** The journal's lines of a service's two slots, what systemd says of them included; newest last. */
export async function tailUnits(units: readonly string[], lines: number): Promise<LogLine[]> {
  const found: LogLine[] = []
  for await (const line of read(units, ['--lines', String(lines)], null)) found.push(line)
  return found
}

export function followUnits(
  units: readonly string[],
  lines: number,
  signal: AbortSignal,
): AsyncIterable<LogLine> {
  return read(units, ['--lines', String(lines), '--follow'], signal)
}

async function* read(units: readonly string[], options: readonly string[], signal: AbortSignal | null) {
  const args = ['--quiet', '--output=json', '--all', ...options, ...units.flatMap((unit) => ['--unit', unit])]
  const child = spawn('journalctl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const end = () => child.kill()
  signal?.addEventListener('abort', end)
  child.once('error', () => {})
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const parsed = parseEntry(line)
      if (parsed) yield parsed
    }
  } finally {
    signal?.removeEventListener('abort', end)
    child.kill()
  }
}

/** @param line one entry of `journalctl --output=json` */
export function parseEntry(line: string): LogLine | null {
  let entry: Entry
  try {
    entry = JSON.parse(line) as Entry
  } catch {
    return null
  }
  const unit = text(entry['UNIT']) || text(entry['_SYSTEMD_UNIT'])
  // Only units that were asked for come here; a probe's belong to no slot.
  const slot = unit.endsWith('@b.service') ? 'b' : 'a'
  const at = new Date(Number(text(entry['__REALTIME_TIMESTAMP'])) / 1000)
  const isOwn = entry['UNIT'] === undefined
  const isError = Number(text(entry['PRIORITY'])) <= 3
  return {
    at: at.toISOString(),
    slot,
    stream: isOwn ? (isError ? 'err' : 'out') : 'supervisor',
    line: text(entry['MESSAGE']).slice(0, maxLineChars),
  }
}

/** Fields that are not valid UTF-8 come as arrays of bytes. */
function text(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((byte) => typeof byte === 'number'))
    return Buffer.from(value).toString()
  return ''
}
