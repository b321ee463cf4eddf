import type { Boundary, BoundaryModule } from './boundary.ts'

export const versionOf = ({ version }: BoundaryModule): number => version ?? 1

/** `version` is that to go down to; without it the way leads to the module's own. */
export type Migration = { boundary: Boundary; module: BoundaryModule; version?: number }

/** The states of all, moved; none of them is put to use before all are there. */
export async function migrateAll(
  migrations: readonly Migration[],
  run: (part: () => void) => void,
  onBoundary: (boundary: Boundary) => void,
) {
  const states = new Map<Boundary, unknown>()
  for (const migration of migrations) {
    const { boundary } = migration
    let moved: unknown
    onBoundary(boundary)
    run(() => (moved = migrate(migration)))
    states.set(boundary, await moved)
  }
  return states
}

/** From the version that is held to that of the module, or to `version` by the way down. */
function migrate({ boundary, module, version }: Migration): unknown {
  const { held, context } = boundary
  const to = version ?? versionOf(module)
  // The old state must stay as it is: the new code gets one of its own.
  const state = copy(held.state)
  if (version === undefined && to > held.version)
    return need(module.codeChange, 'codeChange')(state, held.version, context)
  // Down: only the newer code knows the way.
  return need(held.module.codeChangeDown, 'codeChangeDown')(state, to, context)
}

function need<T>(change: T | undefined, name: string): T {
  if (change) return change
  throw new Error(`it has no ${name}`)
}

function copy(state: unknown): unknown {
  try {
    return structuredClone(state)
  } catch (cause) {
    const why = `its state cannot be copied (${(cause as Error).message}): what is no plain data belongs in context.resource()`
    throw new Error(why, { cause })
  }
}
