import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { LogLine } from '../../../shared/wire/api.ts'

const pollMs = 150
const chunkBytes = 64 * 1024

/** The newest `count` lines of a log and of the one rotated away before it. */
export function tailLog(file: string, count: number): LogLine[] {
  const texts = [`${file}.1`, file].map((one) => (existsSync(one) ? readFileSync(one, 'utf8') : ''))
  const lines = texts.join('').split('\n').filter(Boolean)
  return lines.slice(-count).flatMap(parseLine)
}

/** The newest lines, then those that come; goes on with the next file after a rotation. */
export async function* followLog(file: string, count: number, signal: AbortSignal): AsyncIterable<LogLine> {
  let inode = 0
  let position = 0
  if (existsSync(file)) {
    const fd = openSync(file, 'r')
    const { ino, size } = fstatSync(fd)
    closeSync(fd)
    inode = ino
    position = size
  }
  yield* tailLog(file, count)
  let rest = ''
  while (!signal.aborted) {
    const read = readOn(file, inode, position)
    if (read) {
      inode = read.inode
      position = read.position
      const lines = (rest + read.text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield* parseLine(line)
    }
    if (!read?.text) await setTimeout(pollMs, undefined, { signal }).catch(() => {})
  }
}

function readOn(file: string, inode: number, position: number) {
  if (!existsSync(file)) return null
  const fd = openSync(file, 'r')
  try {
    const { ino } = fstatSync(fd)
    const from = ino === inode ? position : 0
    const buffer = Buffer.alloc(chunkBytes)
    const count = readSync(fd, buffer, 0, chunkBytes, from)
    // A character cut at the end of a chunk is read again with the next one.
    const whole = buffer.subarray(0, Math.max(buffer.subarray(0, count).lastIndexOf(0x0a) + 1, 0))
    return { inode: ino, position: from + whole.length, text: whole.toString() }
  } finally {
    closeSync(fd)
  }
}

function parseLine(line: string): LogLine[] {
  try {
    return [JSON.parse(line) as LogLine]
  } catch {
    // A line cut by a power failure.
    return []
  }
}
