import t from 'tap'
import Database from 'better-sqlite3'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../../shared/database.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-database-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const migrations = ['CREATE TABLE one (x INTEGER) STRICT', 'CREATE TABLE two (x INTEGER) STRICT']

t.test('an older file is brought up to date, and keeps its rows', (t) => {
  const file = join(dir, 'old')
  const old = openDatabase(file, migrations.slice(0, 1))
  old.exec('INSERT INTO one VALUES (7)')
  old.close()
  const db = openDatabase(file, migrations)
  t.same(db.prepare('SELECT x FROM one').all(), [{ x: 7 }])
  t.same(db.prepare('SELECT x FROM two').all(), [])
  t.equal(db.pragma('synchronous', { simple: true }), 2)
  t.equal(db.pragma('journal_mode', { simple: true }), 'wal')
  db.close()
  t.end()
})

t.test('a file of a newer version, or one that is no database, is refused and left as it was', (t) => {
  const newer = join(dir, 'newer')
  openDatabase(newer, migrations).close()
  t.throws(() => openDatabase(newer, migrations.slice(0, 1)), { code: 'E_STORE', message: /newer/ })
  const check = new Database(newer, { readonly: true })
  t.equal(check.pragma('user_version', { simple: true }), 2)
  check.close()
  const garbage = join(dir, 'garbage')
  writeFileSync(garbage, 'this is no database, whatever its name is'.repeat(100))
  t.throws(() => openDatabase(garbage, migrations), { code: 'E_STORE' })
  t.throws(() => openDatabase(join(dir, 'no', 'where'), migrations), { code: 'E_STORE' })
  t.end()
})
