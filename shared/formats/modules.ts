import { Strict, Type, type Static } from '../schema.ts'
import { Digest } from './names.ts'

/** More than any program has; a graph beyond it is refused. */
const maxModules = 20_000
const Path = Type.String({ minLength: 1, maxLength: 1024 })
const Paths = Type.Array(Path, { maxItems: maxModules })

/** `json` is read as it is; the others lie transformed in the release, under the same path in `hotDirectory`. */
export const ModuleKind = Type.Union([Type.Literal('esm'), Type.Literal('cjs'), Type.Literal('json')])
export type ModuleKind = Static<typeof ModuleKind>

/** A module that can be exchanged while the program runs. */
export const ModuleEntry = Strict({
  path: Path,
  kind: ModuleKind,
  /** What is evaluated before it. */
  imports: Paths,
  /** What it may load later: `import()`, `require()`. */
  lazy: Paths,
  /** It asks where it lies (`import.meta.dirname`, `__filename`), and so may read what lies beside it. */
  locatesItself: Type.Boolean(),
})
export type ModuleEntry = Static<typeof ModuleEntry>

const StateVersion = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** A module that the program calls through a handle: what lies behind it can be exchanged. */
export const Boundary = Strict({
  path: Path,
  /** Of the state that it keeps. */
  version: StateVersion,
  /** Whether it can take over the state of an older version, and give it back to one. */
  codeChange: Type.Boolean(),
  codeChangeDown: Type.Boolean(),
})
export type Boundary = Static<typeof Boundary>

/**
 * How modules are transformed. Whoever changes what comes out of it counts it up: a host takes only what
 * it would have made itself.
 */
export const transformVersion = 1

/** What of a release can be swapped in, and how it hangs together. */
export const ModuleGraph = Strict({
  /** The way in which its modules were transformed; agent and library must know it. */
  transform: Type.Integer({ minimum: 1, maximum: 1_000 }),
  boundaries: Type.Array(Boundary, { minItems: 1, maxItems: 256 }),
  modules: Type.Array(ModuleEntry, { maxItems: maxModules }),
  /** Modules that the entry itself loads, by Node's own loader, once. */
  cold: Paths,
  /** sha256 of what the package.json files say of loading modules. */
  packages: Digest,
})
export type ModuleGraph = Static<typeof ModuleGraph>

/** Where the transformed modules lie in a release. */
export const hotDirectory = '.deployctl/hot'
export const transformedPath = (path: string): string => `${hotDirectory}/${path}`
