/** A host as far as its turn is concerned. */
export type Candidate = { name: string; labels: Readonly<Record<string, string>> }

export type BatchRule = {
  /** How many hosts go first, or which; none when absent. */
  canary: number | readonly string[] | null
  /** Hosts in a batch, or a share of all of them; all at once when absent. */
  size: number | `${number}%` | null
  /** Labels of which one value goes after the other: a batch never holds two. */
  oneAtATime: readonly string[]
}

/**
 * Whose turn is when. Hosts keep their order; those with the same values of the labels stay together,
 * values in the order in which they are first met.
 * @returns batches of names, none of them empty; the first is the canary where there is one
 */
export function planBatches(
  hosts: readonly Candidate[],
  { canary, size, oneAtATime }: BatchRule,
): { batches: string[][]; canary: boolean } {
  const first = canaries(hosts, canary)
  const rest = hosts.filter(({ name }) => !first.includes(name))
  const perBatch = sizeOf(hosts.length, size)
  const batches = groups(rest, oneAtATime).flatMap((group) => chunks(group, perBatch))
  // Where nobody would follow it, there is nothing to try out on behalf of others.
  if (first.length === 0 || batches.length === 0)
    return { batches: [...(first.length > 0 ? [first] : []), ...batches], canary: false }
  return { batches: [first, ...batches], canary: true }
}

function canaries(hosts: readonly Candidate[], rule: BatchRule['canary']): string[] {
  const names = hosts.map(({ name }) => name)
  if (rule === null) return []
  return typeof rule === 'number' ? names.slice(0, rule) : names.filter((name) => rule.includes(name))
}

function sizeOf(total: number, size: BatchRule['size']): number {
  if (size === null) return Math.max(1, total)
  if (typeof size === 'number') return size
  return Math.max(1, Math.floor((total * Number(size.slice(0, -1))) / 100))
}

function groups(hosts: readonly Candidate[], labels: readonly string[]): string[][] {
  const found = new Map<string, string[]>()
  for (const { name, labels: own } of hosts) {
    const key = JSON.stringify(labels.map((label) => own[label] ?? null))
    found.set(key, [...(found.get(key) ?? []), name])
  }
  return [...found.values()]
}

const chunks = (names: readonly string[], size: number): string[][] =>
  Array.from({ length: Math.ceil(names.length / size) }, (_, index) =>
    names.slice(index * size, (index + 1) * size),
  )
