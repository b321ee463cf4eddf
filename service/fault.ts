/** What went wrong in which module of the program; `module` and `line` are null where nothing tells. */
export type Fault = { message: string; module: string | null; line: number | null; stack: string[] }

const stackLines = 8

/**
 * @param root of the release whose code it was
 * @param at the module that was worked on, should the stack not tell
 */
export function faultOf(error: unknown, root: string, at: string | null = null): Fault {
  const isError = error instanceof Error || (typeof error === 'object' && error !== null && 'stack' in error)
  const message = isError
    ? `${(error as Error).name}: ${(error as Error).message}`
    : `it threw ${String(error)}`
  const stack = isError ? ((error as Error).stack ?? '').split('\n') : []
  const frame = stack.map((line) => inRelease(line, root)).find((one) => one !== null) ?? null
  return {
    message,
    module: frame?.module ?? at,
    line: frame?.line ?? null,
    stack: stack.slice(0, stackLines),
  }
}

/** `at f (file:///…/lib/x.js:12:3)` */
function inRelease(line: string, root: string): { module: string; line: number } | null {
  const at = line.indexOf(`${root}/`)
  const found = at < 0 ? null : /^([^:)]+):(\d+)/.exec(line.slice(at + root.length + 1))
  return found?.[1] ? { module: decodeURI(found[1]), line: Number(found[2]) } : null
}
