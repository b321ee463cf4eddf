import { encodeDocument } from '../documents/document.ts'
import type { FileEntry, Manifest } from '../formats/manifest.ts'

const namesShown = 3

// One side may come from its file and the other from signed bytes, with their keys in another order.
export const isSame = (a: unknown, b: unknown): boolean =>
  encodeDocument({ a }).equals(encodeDocument({ a: b }))

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

export const shortList = (names: readonly string[]): string =>
  names.length <= namesShown
    ? names.join(', ')
    : `${names.slice(0, namesShown).join(', ')} and ${names.length - namesShown} more`
