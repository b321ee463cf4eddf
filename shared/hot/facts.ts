import type { ModuleKind } from '../formats/modules.ts'

/** One `import … from`, or an `export … from`. */
export type ImportFact = {
  from: string
  /** `with { type: 'json' }`. */
  attributes: Record<string, string>
  /** What of the other module is named, and so must be there. */
  names: string[]
  line: number
}

export type Specifier = { from: string; line: number }

/** What a module's text says of it, wherever it lies; `code` is what the library compiles. */
export type Facts = {
  kind: ModuleKind
  code: string
  /** It awaits something while it is evaluated. */
  isAsync: boolean
  imports: ImportFact[]
  /** `export { name as as } from`; a name of null stands for all of it as one object. */
  reexports: { as: string; of: number; name: string | null }[]
  /** `export * from`. */
  stars: number[]
  /** Exported names that it declares itself. */
  exports: string[]
  lazy: Specifier[]
  locatesItself: boolean
  /** Of `export const version = 2`; null when it is not that plain. */
  version: number | null
}

/** Of a module that says nothing. */
export const noFacts = (kind: ModuleKind, code = ''): Facts => ({
  kind,
  code,
  isAsync: false,
  imports: [],
  reexports: [],
  stars: [],
  exports: [],
  lazy: [],
  locatesItself: false,
  version: null,
})
