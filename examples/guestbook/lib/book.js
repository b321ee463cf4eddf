/** Entries in memory, newest first, at most `limit` of them. */
export function openBook(limit = '100') {
  const most = Number.parseInt(limit, 10)
  const entries = []
  return {
    sign(name, text) {
      const entry = { name: name.slice(0, 40), text: text.slice(0, 280), at: new Date().toISOString() }
      entries.unshift(entry)
      entries.length = Math.min(entries.length, most)
      return entry
    },
    list: () => entries,
  }
}
