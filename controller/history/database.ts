import Database from 'better-sqlite3'
import { DeployError } from '../../shared/errors.ts'

export type Db = Database.Database

/** Applied in order; the number of those applied is the file's user_version. Never edit one that shipped. */
const migrations: readonly string[] = [
  `CREATE TABLE pushes (
     op_id TEXT PRIMARY KEY, at TEXT NOT NULL, action TEXT NOT NULL, service TEXT NOT NULL,
     environment TEXT NOT NULL, release TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT,
     dirty INTEGER NOT NULL, signer TEXT NOT NULL, fingerprint TEXT NOT NULL, reason TEXT NOT NULL,
     order_bytes BLOB NOT NULL, order_signatures TEXT NOT NULL
   ) STRICT;
   CREATE INDEX pushes_by_time ON pushes (service, environment, at);
   CREATE TABLE host_results (
     op_id TEXT NOT NULL REFERENCES pushes, host TEXT NOT NULL, result TEXT NOT NULL,
     strategy TEXT NOT NULL, reasons TEXT NOT NULL, steps TEXT NOT NULL, error TEXT, ended TEXT NOT NULL,
     receipt BLOB, signature TEXT, digest TEXT, previous TEXT, number INTEGER,
     PRIMARY KEY (op_id, host)
   ) STRICT;
   CREATE INDEX results_by_host ON host_results (host, number);
   CREATE TABLE hosts (
     fleet TEXT NOT NULL, name TEXT NOT NULL, receipt_key TEXT NOT NULL, pinned_at TEXT NOT NULL,
     PRIMARY KEY (fleet, name)
   ) STRICT;
   CREATE TABLE manifests (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL, signatures TEXT NOT NULL) STRICT;`,
]

/**
 * Opens the controller's history, creating or migrating it.
 * @throws DeployError E_INTERNAL when the file cannot be made durable
 */
export function openDatabase(file: string): Db {
  const db = new Database(file, { timeout: 2_000 })
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  migrate(db)
  // Before a first read the pragma reports what was asked for, whatever is in force.
  if (db.pragma('synchronous', { simple: true }) !== 2)
    throw new DeployError('E_INTERNAL', { detail: `${file} is not synchronous` })
  return db
}

function migrate(db: Db) {
  const apply = db.transaction(() => {
    const done = Number(db.pragma('user_version', { simple: true }))
    for (const sql of migrations.slice(done)) db.exec(sql)
    db.pragma(`user_version = ${migrations.length}`)
  })
  apply.immediate()
}
