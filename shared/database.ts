import Database from 'better-sqlite3'
import { closeSync, openSync } from 'node:fs'
import { DeployError } from './errors.ts'

export type Db = Database.Database

/** Well under a watchdog's time: a lock wait blocks the whole process. */
const busyTimeoutMs = 1_000

/**
 * Opens an SQLite file so that what it acknowledged survives a power cut, and brings it up to date.
 * `migrations` are applied in order; the number of those applied is the file's user_version.
 * @throws DeployError E_STORE
 */
export function openDatabase(file: string, migrations: readonly string[]): Db {
  try {
    // Nobody else's business; SQLite gives its other files the same mode.
    if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600))
    const db = new Database(file, { timeout: busyTimeoutMs })
    db.pragma('journal_mode = WAL')
    // In WAL mode the default is NORMAL, which loses acknowledged rows in a power cut.
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    migrate(db, migrations)
    // Before a first read the pragma reports what was asked for, whatever is in force.
    if (db.pragma('synchronous', { simple: true }) !== 2) throw new Error('it is not synchronous')
    return db
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DeployError('E_STORE', { why: `the database ${file}: ${why}` }, { cause })
  }
}

function migrate(db: Db, migrations: readonly string[]) {
  const apply = db.transaction(() => {
    const done = Number(db.pragma('user_version', { simple: true }))
    if (done > migrations.length) throw new Error('a newer deployctl wrote it')
    for (const sql of migrations.slice(done)) db.exec(sql)
    db.pragma(`user_version = ${migrations.length}`)
  })
  apply.immediate()
}
