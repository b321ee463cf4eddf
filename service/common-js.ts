import { dirname } from 'node:path'
import { dirname as posixDirname } from 'node:path/posix'
import { compileCommonJs } from './compile.ts'
import type { HotModule } from './hot-module.ts'
import type { NativeModules } from './native-modules.ts'

/** Runs a CommonJS file or reads a JSON one: at once, as `require` expects it. */
export function runAtOnce(module: HotModule, native: NativeModules): void {
  if (module.header.kind === 'json') module.object.exports = JSON.parse(module.takeCode())
  else run(module, native)
  exposeNames(module)
}

function run(module: HotModule, native: NativeModules) {
  const { file, object } = module
  const compiled = compileCommonJs(module.takeCode(), file)
  compiled.call(object.exports, object.exports, requireOf(module, native), object, file, dirname(file))
  object.loaded = true
}

function requireOf(module: HotModule, native: NativeModules) {
  const nativeRequire = native.requireFrom(posixDirname(module.path))
  const require = (specifier: string): unknown => {
    const link = module.header.lazy[specifier]
    if (!link || 'native' in link) return nativeRequire(specifier)
    if ('cold' in link) return nativeRequire(native.fileOf(link.cold))
    return module.generation.require(link.to)
  }
  const { resolve, cache, main } = nativeRequire
  return Object.assign(require, { resolve, cache, main })
}

/** Names to import are those that it has when it has run. */
function exposeNames({ header, namespace, object }: HotModule) {
  const { exports } = object
  if (header.kind === 'json' || exports === null || !['object', 'function'].includes(typeof exports)) return
  for (const name of Object.keys(exports as object))
    if (!Object.hasOwn(namespace, name))
      Object.defineProperty(namespace, name, {
        get: () => (object.exports as Record<string, unknown>)[name],
        enumerable: true,
      })
}
