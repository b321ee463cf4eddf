/** Applied in order; the number of those applied is the file's user_version. Never edit one that shipped. */
export const migrations: readonly string[] = [
  `CREATE TABLE services (
     name TEXT PRIMARY KEY, seq INTEGER NOT NULL, active TEXT, previous TEXT, environment TEXT, slot TEXT
   ) STRICT;
   CREATE TABLE deployments (
     op_id TEXT PRIMARY KEY, service TEXT NOT NULL REFERENCES services, seq INTEGER NOT NULL,
     action TEXT NOT NULL, release TEXT NOT NULL, prev TEXT, environment TEXT NOT NULL, slot TEXT NOT NULL,
     began TEXT NOT NULL, boot_id TEXT NOT NULL, who TEXT NOT NULL, fingerprint TEXT NOT NULL, order_bytes BLOB NOT NULL, signatures TEXT NOT NULL, state TEXT NOT NULL,
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
  'ALTER TABLE deployments ADD COLUMN login TEXT',
  "ALTER TABLE deployments ADD COLUMN approvals TEXT NOT NULL DEFAULT '[]'",
  'ALTER TABLE deployments ADD COLUMN strategy TEXT',
  "ALTER TABLE services ADD COLUMN in_use TEXT NOT NULL DEFAULT '[]'",
  `CREATE TABLE freezes (
     op_id TEXT PRIMARY KEY, service TEXT NOT NULL, until TEXT, reason TEXT NOT NULL, who TEXT NOT NULL,
     fingerprint TEXT NOT NULL, at TEXT NOT NULL, order_bytes BLOB NOT NULL, signatures TEXT NOT NULL
   ) STRICT;
   CREATE INDEX freezes_by_service ON freezes (service)`,
  'ALTER TABLE freezes ADD COLUMN periods TEXT',
]
