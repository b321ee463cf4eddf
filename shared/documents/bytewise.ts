const surrogates = /[\ud800-\udfff]/

/**
 * Orders text by its UTF-8 bytes, as every list in a document is. JavaScript's own order is the same
 * except beyond the basic plane.
 */
export function bytewise(a: string, b: string): number {
  if (a === b) return 0
  if (surrogates.test(a) || surrogates.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : 1
}

/** Sorts in place; looks at each text once instead of at every comparison. */
export function sortBytewise<T>(list: T[], textOf: (item: T) => string): T[] {
  const isPlain = !list.some((item) => surrogates.test(textOf(item)))
  const plain = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  const compare = isPlain ? plain : bytewise
  return list.sort((a, b) => compare(textOf(a), textOf(b)))
}
