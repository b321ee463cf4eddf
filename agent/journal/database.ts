import Database from 'better-sqlite3'
import { DeployError } from '../../shared/errors.ts'

export type Db = Database.Database

/** Well under a watchdog's time: a lock wait blocks the whole agent. */
const busyTimeoutMs = 1_000

/** Applied in order; the number of those applied is the file's user_version. Never edit one that shipped. */
const migrations: readonly string[] = [
  `CREATE TABLE services (
     name TEXT PRIMARY KEY, seq INTEGER NOT NULL, active TEXT, previous TEXT
   ) STRICT;
   CREATE TABLE deployments (
     op_id TEXT PRIMARY KEY, service TEXT NOT NULL REFERENCES services, seq INTEGER NOT NULL,
     action TEXT NOT NULL, release TEXT NOT NULL, prev TEXT, began TEXT NOT NULL, boot_id TEXT NOT NULL,
     who TEXT NOT NULL, order_bytes BLOB NOT NULL, signatures TEXT NOT NULL, state TEXT NOT NULL,
     life TEXT NOT NULL, ended TEXT, UNIQUE (service, seq)
   ) STRICT;
   CREATE TABLE events (
     op_id TEXT NOT NULL REFERENCES deployments, n INTEGER NOT NULL, at TEXT NOT NULL, type TEXT NOT NULL,
     data TEXT NOT NULL, PRIMARY KEY (op_id, n)
   ) STRICT;
   CREATE TABLE receipts (
     number INTEGER PRIMARY KEY, op_id TEXT NOT NULL UNIQUE REFERENCES deployments, bytes BLOB NOT NULL,
     signature TEXT NOT NULL, digest TEXT NOT NULL UNIQUE
   ) STRICT;`,
]

/**
 * Opens the journal so that what it acknowledged survives a power cut.
 * @throws DeployError E_STORE
 */
export function openDatabase(file: string): Db {
  try {
    const db = new Database(file, { timeout: busyTimeoutMs })
    db.pragma('journal_mode = WAL')
    // In WAL mode the default is NORMAL, which loses acknowledged rows in a power cut.
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    migrate(db)
    // Before a first read the pragma reports what was asked for, whatever is in force.
    if (db.pragma('synchronous', { simple: true }) !== 2) throw new Error('it is not synchronous')
    return db
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DeployError('E_STORE', { why: `the journal ${file}: ${why}` }, { cause })
  }
}

function migrate(db: Db) {
  const apply = db.transaction(() => {
    const done = Number(db.pragma('user_version', { simple: true }))
    for (const sql of migrations.slice(done)) db.exec(sql)
    db.pragma(`user_version = ${migrations.length}`)
  })
  apply.immediate()
}
