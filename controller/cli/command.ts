import type { CliContext } from './context.ts'

/** A flag as commander writes it: `--key <file>` takes a value, `--json` does not. */
export type Flag = { flag: string; summary: string; default?: string }

export type Parsed = { args: string[]; flags: Record<string, string | boolean | undefined> }

/** One command, one file: help, completion and the manual are derived from this value. */
export type Command = {
  name: string
  summary: string
  /** Positional arguments as commander writes them: `<release>` or `[dir]`. */
  args?: readonly { arg: string; summary: string; choices?: readonly string[] }[]
  flags?: readonly Flag[]
  examples: readonly string[]
  run(parsed: Parsed, context: CliContext): Promise<void>
}

/** A flag's text value, when it was given one. */
export function text(parsed: Pick<Parsed, 'flags'>, name: string): string | undefined {
  const value = parsed.flags[name]
  return typeof value === 'string' ? value : undefined
}
