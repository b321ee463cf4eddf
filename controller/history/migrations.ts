/** Applied in order; the number of those applied is the file's user_version. Never edit one that shipped. */
export const migrations: readonly string[] = [
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
   CREATE TABLE on_hosts (
     host TEXT NOT NULL, service TEXT NOT NULL, release TEXT NOT NULL, PRIMARY KEY (host, service)
   ) STRICT;
   CREATE TABLE manifests (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL, signatures TEXT NOT NULL) STRICT;`,
  `ALTER TABLE pushes ADD COLUMN provenance TEXT;
   ALTER TABLE pushes ADD COLUMN approvals TEXT NOT NULL DEFAULT '[]';
   CREATE TABLE witnessed (
     fleet TEXT NOT NULL, host TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL,
     PRIMARY KEY (fleet, host, number)
   ) STRICT;`,
  `ALTER TABLE pushes ADD COLUMN rollout TEXT;
   CREATE TABLE rollouts (
     id TEXT PRIMARY KEY, began TEXT NOT NULL, service TEXT NOT NULL, environment TEXT NOT NULL,
     release TEXT NOT NULL, version TEXT NOT NULL, details TEXT NOT NULL, plan TEXT NOT NULL,
     state TEXT NOT NULL, life TEXT NOT NULL, driver TEXT, beat INTEGER NOT NULL, ended TEXT
   ) STRICT;
   CREATE INDEX rollouts_by_time ON rollouts (service, began);
   CREATE TABLE rollout_hosts (
     id TEXT NOT NULL REFERENCES rollouts, host TEXT NOT NULL, at TEXT NOT NULL, before TEXT, op_id TEXT,
     PRIMARY KEY (id, host)
   ) STRICT;
   CREATE TABLE rollout_events (
     id TEXT NOT NULL REFERENCES rollouts, n INTEGER NOT NULL, at TEXT NOT NULL, event TEXT NOT NULL,
     PRIMARY KEY (id, n)
   ) STRICT;
   CREATE TABLE rollout_commands (
     n INTEGER PRIMARY KEY, id TEXT NOT NULL REFERENCES rollouts, command TEXT NOT NULL, at TEXT NOT NULL
   ) STRICT;`,
  `CREATE TABLE schedules (
     name TEXT PRIMARY KEY, spec TEXT NOT NULL, added TEXT NOT NULL, seen INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE schedule_runs (
     schedule TEXT NOT NULL, slot INTEGER NOT NULL, state TEXT NOT NULL, begins INTEGER NOT NULL,
     why TEXT, rollout TEXT, owner TEXT, beat INTEGER NOT NULL DEFAULT 0, began INTEGER, ended INTEGER,
     PRIMARY KEY (schedule, slot)
   ) STRICT;
   CREATE INDEX runs_open ON schedule_runs (state) WHERE state IN ('waiting', 'running');
   CREATE TABLE published (
     service TEXT NOT NULL, environment TEXT NOT NULL, channel TEXT NOT NULL, release TEXT NOT NULL,
     version TEXT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, approvals TEXT NOT NULL, expires TEXT,
     PRIMARY KEY (service, environment, channel, release)
   ) STRICT;
   CREATE TABLE host_states (
     service TEXT NOT NULL, environment TEXT NOT NULL, host TEXT NOT NULL, at TEXT NOT NULL,
     state TEXT, agent TEXT, error TEXT, PRIMARY KEY (service, environment, host)
   ) STRICT;
   CREATE TABLE tokens (
     id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, hash BLOB NOT NULL,
     added TEXT NOT NULL, expires TEXT, used TEXT
   ) STRICT;
   CREATE TABLE web_sessions (
     hash BLOB PRIMARY KEY, token TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE, expires INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE audit (
     n INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, method TEXT NOT NULL,
     path TEXT NOT NULL, status INTEGER NOT NULL, address TEXT NOT NULL
   ) STRICT;
   CREATE INDEX pushes_all_by_time ON pushes (at);
   CREATE INDEX pushes_by_rollout ON pushes (rollout);
   CREATE INDEX rollouts_all_by_time ON rollouts (began);
   CREATE INDEX rollouts_open ON rollouts (ended) WHERE ended IS NULL;`,
]
