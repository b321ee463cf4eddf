import type { Db } from '../../shared/database.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'

/** A release that people agreed to, and that a schedule may therefore order. */
export type Published = {
  service: string
  environment: string
  channel: string
  release: string
  version: string
  at: string
  who: string
  approvals: readonly SignedApproval[]
  /** Until when they agreed; null where nobody had to. */
  expires: string | null
}

type Row = Omit<Published, 'approvals'> & { approvals: string }

export class PublishedReleases {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Published again, it is the newest of its channel again, with what was agreed to now. */
  add(one: Published): void {
    this.#db
      .prepare(
        `INSERT OR REPLACE INTO published VALUES (@service, @environment, @channel, @release, @version, @at, @who,
         @approvals, @expires)`,
      )
      .run({ ...one, approvals: JSON.stringify(one.approvals) })
  }

  /** Newest first. */
  list(
    service: string | null,
    environment: string | null,
    channel: string | null,
    limit: number,
  ): Published[] {
    return this.#db
      .prepare<unknown[], Row>(
        `SELECT * FROM published WHERE (@service IS NULL OR service = @service)
           AND (@environment IS NULL OR environment = @environment) AND (@channel IS NULL OR channel = @channel)
         ORDER BY at DESC, rowid DESC LIMIT @limit`,
      )
      .all({ service, environment, channel, limit })
      .map((row) => ({ ...row, approvals: JSON.parse(row.approvals) as SignedApproval[] }))
  }

  forget(release: string): void {
    this.#db.prepare('DELETE FROM published WHERE release = ?').run(release)
  }
}
