import { encodeDocument } from '../documents/document.ts'
import type { FileEntry, Manifest } from '../formats/manifest.ts'
import type { Strategy } from '../formats/receipt.ts'

/** What is known when a strategy is chosen; both sides plan, the host's plan is the one that counts. */
export type Change = {
  /** What runs now; null when nothing does. */
  previous: Manifest | null
  next: Manifest
  isEnvironmentChanged: boolean
  requested: 'auto' | 'restart'
}

export type Plan = { strategy: Strategy; reasons: string[] }

const namesShown = 3

/**
 * Chooses the gentlest strategy that is safe, and says why in words for people.
 * Hot swap and handover enter here as further cases before `restart`.
 */
export function planActivation(change: Change): Plan {
  const { previous, next, isEnvironmentChanged, requested } = change
  if (previous === null) return { strategy: 'restart', reasons: ['nothing runs there yet: it is started'] }
  const reasons = [
    ...differences(previous, next),
    ...(isEnvironmentChanged ? ['the environment changed'] : []),
  ]
  if (reasons.length === 0) reasons.push('the same files and settings under another name')
  if (requested === 'restart') reasons.push('restart was asked for')
  reasons.push(
    (next.run.sockets ?? []).length > 0
      ? 'the host keeps its sockets open meanwhile: connections wait instead of failing'
      : 'it has no socket of ours: it is away while it restarts',
  )
  return { strategy: 'restart', reasons }
}

function differences(previous: Manifest, next: Manifest): string[] {
  const parts: string[] = []
  const changed = changedPaths(previous, next)
  if (changed.length > 0)
    parts.push(
      `${changed.length === 1 ? '1 file' : `${changed.length} files`} changed: ${shortList(changed)}`,
    )
  // One side may come from its file and the other from signed bytes, with their keys in another order.
  const same = (a: unknown, b: unknown) => encodeDocument({ a }).equals(encodeDocument({ a: b }))
  if (!same(previous.run.argv, next.run.argv)) parts.push('the command line changed')
  if (!same(previous.run.sockets, next.run.sockets)) parts.push('the sockets changed')
  if (!same(previous.run.env, next.run.env)) parts.push('the environment variables it needs changed')
  if (!same(previous.health, next.health)) parts.push('its probes changed')
  return parts
}

/** Paths added, removed or with another content or mode; the file of the version does not count. */
export function changedPaths(
  previous: Pick<Manifest, 'files' | 'links'>,
  next: Pick<Manifest, 'files' | 'links'>,
): string[] {
  const describe = ({ files, links }: Pick<Manifest, 'files' | 'links'>) =>
    new Map([
      ...files.map(({ path, mode, sha256 }: FileEntry) => [path, `${mode} ${sha256}`] as const),
      ...links.map(({ path, target }) => [path, `-> ${target}`] as const),
    ])
  const [before, after] = [describe(previous), describe(next)]
  const changed = [...after].filter(([path, what]) => before.get(path) !== what).map(([path]) => path)
  const removed = [...before.keys()].filter((path) => !after.has(path))
  return [...changed, ...removed].filter((path) => path !== '.deployctl-version')
}

const shortList = (names: readonly string[]) =>
  names.length <= namesShown
    ? names.join(', ')
    : `${names.slice(0, namesShown).join(', ')} and ${names.length - namesShown} more`
