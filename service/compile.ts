import { setFlagsFromString } from 'node:v8'
import { compileFunction } from 'node:vm'

/** What a module's text becomes: see deployctl's shared/hot/transform-esm.ts. */
export type Steps = Generator<unknown, void> | AsyncGenerator<unknown, void>
export type Factory = (hot: HotObject) => Steps
/** What stands for `import()` and `import.meta` in a module. */
export type HotObject = {
  import: (specifier: unknown, options?: { with?: Record<string, string> }) => Promise<unknown>
  meta: Record<string, unknown>
}
export type CommonJsFunction = (
  exports: unknown,
  require: unknown,
  module: unknown,
  filename: string,
  dirname: string,
) => void

/** V8 keeps what it has compiled by its text, and with it every release that ever ran. */
function withoutCache<T>(compile: () => T): T {
  setFlagsFromString('--no-compilation-cache')
  try {
    return compile()
  } finally {
    setFlagsFromString('--compilation-cache')
  }
}

/** @param filename as stack traces are to name it */
export function compileEsm(code: string, filename: string): Factory {
  return withoutCache(() => compileFunction(`return ${code}`, [], { filename }))() as Factory
}

export function compileCommonJs(code: string, filename: string): CommonJsFunction {
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname']
  const text = code.startsWith('#!') ? `//${code}` : code
  return withoutCache(() => compileFunction(text, parameters, { filename })) as CommonJsFunction
}
