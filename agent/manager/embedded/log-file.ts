import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { LogLine } from '../../../shared/wire/api.ts'

const maxFileBytes = 8 * 1024 * 1024
const maxLineChars = 8 * 1024

/** One service's log as newline JSON, in at most two files. A full disk loses lines, never the service. */
export class LogFile {
  readonly #file: string
  #fd: number | null = null
  #size = 0

  constructor(file: string) {
    this.#file = file
  }

  write(line: Omit<LogLine, 'at'>): void {
    const text = line.line.slice(0, maxLineChars)
    const bytes = Buffer.from(`${JSON.stringify({ at: new Date().toISOString(), ...line, line: text })}\n`)
    try {
      if (this.#fd !== null && this.#size + bytes.length > maxFileBytes) this.#rotate(this.#fd)
      this.#fd ??= this.#open()
      this.#size += writeSync(this.#fd, bytes)
    } catch {
      // There is nobody left to tell.
    }
  }

  #open(): number {
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o750 })
    const fd = openSync(this.#file, 'a', 0o640)
    this.#size = fstatSync(fd).size
    return fd
  }

  #rotate(fd: number) {
    closeSync(fd)
    this.#fd = null
    renameSync(this.#file, `${this.#file}.1`)
  }
}

/** Splits a stream's chunks into lines; a line without end is cut, not collected for ever. */
export function lineSplitter(onLine: (line: string) => void): {
  push: (chunk: string) => void
  end: () => void
} {
  let rest = ''
  const push = (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
    if (rest.length <= maxLineChars) return
    onLine(rest)
    rest = ''
  }
  return { push, end: () => void (rest && onLine(rest)) }
}
