import { Strict, Type, type Static } from '../schema.ts'
import { HookSpec } from './hooks.ts'
import { ModuleGraph } from './modules.ts'
import { Digest, FleetId, Instant, Name, Version } from './names.ts'
import { ActivationSpec, HealthSpec, RunSpec } from './service-spec.ts'

/** Bounds that both sides hold; a manifest beyond them is refused before anything is allocated for it. */
export const manifestLimits = {
  bytes: 64 * 1024 * 1024,
  files: 200_000,
  pathBytes: 1024,
  segmentBytes: 255,
  depth: 64,
  fileBytes: 8 * 1024 ** 3,
  releaseBytes: 32 * 1024 ** 3,
} as const

const Path = Type.String({ minLength: 1, maxLength: manifestLimits.pathBytes })

export const FileEntry = Strict({
  path: Path,
  mode: Type.Union([Type.Literal('0644'), Type.Literal('0755')]),
  size: Type.Integer({ minimum: 0, maximum: manifestLimits.fileBytes }),
  sha256: Digest,
})
export type FileEntry = Static<typeof FileEntry>

export const LinkEntry = Strict({ path: Path, target: Path })
export type LinkEntry = Static<typeof LinkEntry>

export const Provenance = Strict({
  commit: Type.Union([Type.String({ pattern: '^[0-9a-f]{40,64}$' }), Type.Null()]),
  /** Whether files differed from the commit. */
  dirty: Type.Boolean(),
  builder: Type.String({ maxLength: 128 }),
  /** sha256 of the lock file, if the project has one. */
  lockfile: Type.Union([Digest, Type.Null()]),
  /** An in-toto statement about the build (SLSA provenance, say), by the digest of its file. */
  statement: Type.Optional(Strict({ sha256: Digest, predicateType: Type.String({ maxLength: 256 }) })),
})
export type Provenance = Static<typeof Provenance>

/** release.json: DESIGN "Formats". Its sha256 is the release's name. */
export const Manifest = Strict({
  spec: Type.Literal('deployctl/release/v1'),
  fleet: FleetId,
  service: Name,
  version: Version,
  /** The commit's time, not the clock's: the same input gives the same digest anywhere. */
  created: Instant,
  files: Type.Array(FileEntry, { maxItems: manifestLimits.files }),
  links: Type.Array(LinkEntry, { maxItems: manifestLimits.files }),
  /** Directories that would not exist by their files alone. */
  emptyDirs: Type.Array(Path, { maxItems: manifestLimits.files }),
  run: RunSpec,
  health: HealthSpec,
  activation: ActivationSpec,
  hooks: Type.Optional(HookSpec),
  /** Where the program can exchange its code while it runs. */
  hot: Type.Optional(ModuleGraph),
  minimumAgent: Type.Integer({ minimum: 1, maximum: 1_000 }),
  provenance: Provenance,
})
export type Manifest = Static<typeof Manifest>
