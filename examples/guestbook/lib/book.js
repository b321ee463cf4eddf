import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Entries, newest first, at most `limit` of them. They are kept in STATE_DIRECTORY, which outlives a
 * release; without one they live as long as the process.
 */
export function openBook(limit = '100', directory = process.env.STATE_DIRECTORY) {
  const most = Number.parseInt(limit, 10)
  const file = directory && join(directory, 'entries.json')
  const entries = file ? load(file) : []
  return {
    sign(name, text) {
      const entry = { name: name.slice(0, 40), text: text.slice(0, 280), at: new Date().toISOString() }
      entries.unshift(entry)
      entries.length = Math.min(entries.length, most)
      if (file) save(file, entries)
      return entry
    },
    list: () => entries,
  }
}

function load(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

function save(file, entries) {
  writeFileSync(`${file}.new`, JSON.stringify(entries))
  renameSync(`${file}.new`, file)
}
