import { dirname } from 'node:path/posix'
import { bindingsOf } from './exports.ts'
import type { HotModule } from './hot-module.ts'
import type { Link } from './module-file.ts'
import type { Namespace, NativeModules } from './native-modules.ts'

type Modules = ReadonlyMap<string, HotModule>

export function importNatively(
  { path }: HotModule,
  link: Exclude<Link, { to: string }>,
  native: NativeModules,
  attributes?: Record<string, string>,
): Promise<Namespace> | Namespace {
  const specifier = 'cold' in link ? native.urlOf(link.cold) : link.native
  return native.import(dirname(path), specifier, attributes)
}

/**
 * Gives each module the namespaces of what it imports.
 * @throws SyntaxError when a name is not there
 */
export async function linkAll(
  order: readonly HotModule[],
  all: Modules,
  native: NativeModules,
  onModule: (module: HotModule) => void,
): Promise<void> {
  const target = ({ header }: HotModule, number: number): HotModule | null => {
    const link = header.imports[number]
    return link && 'to' in link ? (all.get(link.to) ?? null) : null
  }
  for (const module of order) {
    onModule(module)
    for (const link of module.header.imports)
      module.imported.push('to' in link ? {} : await importNatively(module, link, native, link.with))
  }
  for (const module of order) if (module.header.kind === 'esm') module.expose(bindingsOf(module, target))
  for (const module of order) {
    onModule(module)
    for (const [number, { from, names }] of module.header.imports.entries()) {
      const source = target(module, number)
      if (source) module.imported[number] = source.namespace
      // What a CommonJS file exports is only known when it has run.
      if (source?.header.kind !== 'cjs') demand(module.imported[number] ?? {}, from, names)
    }
    module.link()
  }
}

function demand(namespace: Namespace, from: string, names: readonly string[]) {
  const missing = names.find((name) => !(name in namespace))
  if (missing === undefined) return
  throw new SyntaxError(`The requested module '${from}' does not provide an export named '${missing}'`)
}
