import type { Binding, Getter, HotModule } from './hot-module.ts'
import type { Namespace } from './native-modules.ts'

type Find = (module: HotModule, number: number) => HotModule | null

/** All names that a module exports: GetExportedNames of ECMA-262. */
function exportedNames(module: HotModule, find: Find, seen: Set<HotModule>): Set<string> {
  if (seen.has(module)) return new Set()
  seen.add(module)
  const { header } = module
  const names = new Set([...Object.keys(module.own), ...header.reexports.map(({ as }) => as)])
  for (const of of header.stars) {
    const source = find(module, of)
    const theirs =
      source?.header.kind === 'esm'
        ? exportedNames(source, find, seen)
        : Object.keys(spaceOf(module, of, find))
    for (const name of theirs) if (name !== 'default') names.add(name)
  }
  return names
}

const spaceOf = (module: HotModule, number: number, find: Find): Namespace =>
  find(module, number)?.namespace ?? module.imported[number] ?? {}

/** Where a name comes from; null when nowhere, 'ambiguous' when from two places: ResolveExport of ECMA-262. */
export function resolveExport(
  module: HotModule,
  name: string,
  find: Find,
  seen: Set<string> = new Set(),
): Binding | 'ambiguous' | null {
  const key = `${module.path}\n${name}`
  if (seen.has(key)) return null
  seen.add(key)
  const own = module.own[name]
  if (own) return { owner: module, name, get: own }
  const indirect = module.header.reexports.find(({ as }) => as === name)
  if (indirect) return through(module, indirect.of, indirect.name, find, seen)
  if (name === 'default') return null
  let found: Binding | null = null
  for (const of of module.header.stars) {
    const one = through(module, of, name, find, seen)
    if (one === 'ambiguous') return one
    if (one && found && (one.owner !== found.owner || one.name !== found.name)) return 'ambiguous'
    found ??= one
  }
  return found
}

function through(module: HotModule, of: number, name: string | null, find: Find, seen: Set<string>) {
  const source = find(module, of)
  const space = () => spaceOf(module, of, find)
  if (name === null) return { owner: source ?? space(), name: '*', get: space }
  if (source?.header.kind === 'esm') return resolveExport(source, name, find, seen)
  // What a CommonJS file exports is only known when it has run.
  if (source?.header.kind !== 'cjs' && !(name in space())) return null
  return { owner: source ?? space(), name, get: () => space()[name] }
}

/** Getters of all that a module exports, whether it declares it or passes it on. */
export function bindingsOf(module: HotModule, find: Find): Map<string, Getter> {
  const bindings = new Map<string, Getter>()
  for (const name of exportedNames(module, find, new Set())) {
    const found = resolveExport(module, name, find)
    if (found && found !== 'ambiguous') bindings.set(name, found.get)
  }
  return bindings
}
