import { diffLines } from 'diff'
import { stringify } from 'yaml'
import type { Manifest } from '../../../shared/formats/manifest.ts'

export type FileChange = {
  path: string
  change: 'added' | 'removed' | 'changed'
  /** Bytes; null where there is none. */
  before: number | null
  after: number | null
}

/** A line of the configuration; unchanged ones stand around those that changed. */
export type ConfigLine = { sign: '+' | '-' | ' '; text: string }

const around = 3

/** What one release has and another has not. */
export function releaseDiff(before: Manifest, after: Manifest) {
  return {
    before: headOf(before),
    after: headOf(after),
    files: filesOf(before, after),
    config: configOf(before, after),
    states: statesOf(before, after),
  }
}

const headOf = ({ version, created, provenance, files, hot }: Manifest) => ({
  version,
  created,
  commit: provenance.commit,
  isDirty: provenance.dirty,
  files: files.length,
  bytes: files.reduce((sum, { size }) => sum + size, 0),
  modules: hot?.modules.length ?? null,
})

/** Versions of the state that boundaries keep, where they differ. */
function statesOf(before: Manifest, after: Manifest) {
  const versions = ({ hot }: Manifest) =>
    new Map((hot?.boundaries ?? []).map((one) => [one.path, one.version]))
  const [old, now] = [versions(before), versions(after)]
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((path) => ({ path, before: old.get(path) ?? null, after: now.get(path) ?? null }))
    .filter((one) => one.before !== one.after)
}

function filesOf(before: Manifest, after: Manifest): FileChange[] {
  const old = new Map(before.files.map((file) => [file.path, file]))
  const now = new Map(after.files.map((file) => [file.path, file]))
  const changed = [...now.values()].flatMap((file): FileChange[] => {
    const was = old.get(file.path)
    if (!was) return [{ path: file.path, change: 'added', before: null, after: file.size }]
    if (was.sha256 === file.sha256 && was.mode === file.mode) return []
    return [{ path: file.path, change: 'changed', before: was.size, after: file.size }]
  })
  const removed = [...old.values()]
    .filter(({ path }) => !now.has(path))
    .map(({ path, size }): FileChange => ({ path, change: 'removed', before: size, after: null }))
  return [...changed, ...removed].toSorted((a, b) => a.path.localeCompare(b.path))
}

const textOf = ({ run, health, activation, hooks }: Manifest) =>
  stringify({ run, health, activation, ...(hooks && { hooks }) })

function configOf(before: Manifest, after: Manifest): ConfigLine[] {
  const lines = diffLines(textOf(before), textOf(after)).flatMap(({ added, removed, value }): ConfigLine[] =>
    value
      .replace(/\n$/, '')
      .split('\n')
      .map((text) => ({ sign: added ? '+' : removed ? '-' : ' ', text })),
  )
  const isNear = (index: number) =>
    lines.slice(Math.max(0, index - around), index + around + 1).some(({ sign }) => sign !== ' ')
  return lines.filter((_, index) => isNear(index))
}
