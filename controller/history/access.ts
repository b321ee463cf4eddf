import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Db } from '../../shared/database.ts'

/** What somebody may: look; also steer rollouts and schedules; also give others access. */
export const accessRoles = ['viewer', 'operator', 'admin'] as const
export type AccessRole = (typeof accessRoles)[number]

export type Identity = { id: string; name: string; role: AccessRole }
export type Token = Identity & { added: string; expires: string | null; used: string | null }

export type AuditEntry = {
  n: number
  at: string
  who: string
  role: string
  method: string
  path: string
  status: number
  address: string
}

type TokenRow = Token & { hash: Buffer }

const sessionMs = 12 * 3_600_000
/** They are random and long: a plain hash is as good as a slow one. */
const hashOf = (secret: string) => createHash('sha256').update(secret).digest()

/** Who may use the API. Secrets are here as hashes only. */
export class Access {
  readonly #db: Db
  readonly #now: () => number

  constructor(db: Db, now: () => number = Date.now) {
    this.#db = db
    this.#now = now
  }

  /** A new token; its secret is shown once. The former one of that name is void. */
  addToken(name: string, role: AccessRole, expires: string | null): { id: string; secret: string } {
    const id = randomBytes(6).toString('hex')
    const secret = `dpl_${id}_${randomBytes(24).toString('base64url')}`
    this.removeToken(name)
    this.#db
      .prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, NULL)')
      .run(id, name, role, hashOf(secret), this.#iso(), expires)
    return { id, secret }
  }

  removeToken(name: string): boolean {
    return this.#db.prepare('DELETE FROM tokens WHERE name = ?').run(name).changes > 0
  }

  tokens(): Token[] {
    return this.#db
      .prepare<unknown[], Token>('SELECT id, name, role, added, expires, used FROM tokens ORDER BY name')
      .all()
  }

  /** Who this is; null for a token that is unknown or has run out. */
  byToken(secret: string): Identity | null {
    const id = /^dpl_([0-9a-f]{12})_/.exec(secret)?.[1]
    const row = this.#db.prepare<unknown[], TokenRow>('SELECT * FROM tokens WHERE id = ?').get(id ?? '')
    if (!row || !timingSafeEqual(row.hash, hashOf(secret)) || this.#isOver(row.expires)) return null
    // To the minute is exact enough, and spares most calls a write.
    if (row.used === null || Date.parse(row.used) < this.#now() - 60_000)
      this.#db.prepare('UPDATE tokens SET used = ? WHERE id = ?').run(this.#iso(), row.id)
    return { id: row.id, name: row.name, role: row.role }
  }

  /** A session of a browser, as good as the token it was begun with. @returns its secret */
  beginSession(token: string): string {
    const secret = randomBytes(32).toString('base64url')
    this.#db.prepare('DELETE FROM web_sessions WHERE expires < ?').run(this.#now())
    this.#db
      .prepare('INSERT INTO web_sessions VALUES (?, ?, ?)')
      .run(hashOf(secret), token, this.#now() + sessionMs)
    return secret
  }

  bySession(secret: string): Identity | null {
    const row = this.#db
      .prepare<unknown[], Identity & { expires: string | null }>(
        `SELECT id, name, role, tokens.expires FROM web_sessions JOIN tokens ON id = token
         WHERE web_sessions.hash = ? AND web_sessions.expires > ?`,
      )
      .get(hashOf(secret), this.#now())
    if (!row || this.#isOver(row.expires)) return null
    return { id: row.id, name: row.name, role: row.role }
  }

  endSession(secret: string): void {
    this.#db.prepare('DELETE FROM web_sessions WHERE hash = ?').run(hashOf(secret))
  }

  audit(entry: Omit<AuditEntry, 'n' | 'at'>): void {
    this.#db
      .prepare(
        `INSERT INTO audit (at, who, role, method, path, status, address)
         VALUES (@at, @who, @role, @method, @path, @status, @address)`,
      )
      .run({ ...entry, at: this.#iso() })
  }

  /** Newest first. */
  audited(limit: number): AuditEntry[] {
    return this.#db.prepare<unknown[], AuditEntry>('SELECT * FROM audit ORDER BY n DESC LIMIT ?').all(limit)
  }

  #iso = () => new Date(this.#now()).toISOString()
  #isOver = (expires: string | null) => expires !== null && expires < this.#iso()
}
