import type { Db } from '../../shared/database.ts'

/** What is looked for; all that is given has to fit. */
export type Wanted = {
  service?: string | undefined
  environment?: string | undefined
  who?: string | undefined
  result?: string | undefined
  host?: string | undefined
  /** Part of the version, the release's digest or the reason. */
  text?: string | undefined
  /** Only older than this ISO instant. */
  before?: string | undefined
}

/** An order as a line of a list. */
export type FoundPush = {
  opId: string
  at: string
  action: string
  service: string
  environment: string
  release: string
  version: string
  signer: string
  reason: string
  rollout: string | null
  isDirty: boolean
  /** How many hosts came out how. */
  results: Record<string, number>
}

type Row = Omit<FoundPush, 'results' | 'isDirty'> & { dirty: number }

/** Looks through the history. */
export class Search {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Newest first. */
  pushes(wanted: Wanted, limit: number): FoundPush[] {
    const like = wanted.text === undefined ? null : `%${wanted.text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
    const rows = this.#db
      .prepare<unknown[], Row>(
        `SELECT op_id AS opId, at, action, service, environment, release, version, signer, reason, rollout, dirty
         FROM pushes
         WHERE (@service IS NULL OR service = @service) AND (@environment IS NULL OR environment = @environment)
           AND (@who IS NULL OR signer = @who) AND (@before IS NULL OR at < @before)
           AND (@like IS NULL OR version LIKE @like ESCAPE '\\' OR release LIKE @like ESCAPE '\\'
             OR reason LIKE @like ESCAPE '\\')
           AND ((@result IS NULL AND @host IS NULL) OR EXISTS (
             SELECT 1 FROM host_results WHERE op_id = pushes.op_id
               AND (@result IS NULL OR result = @result) AND (@host IS NULL OR host = @host)))
         ORDER BY at DESC, rowid DESC LIMIT @limit`,
      )
      .all({
        service: wanted.service ?? null,
        environment: wanted.environment ?? null,
        who: wanted.who ?? null,
        result: wanted.result ?? null,
        host: wanted.host ?? null,
        before: wanted.before ?? null,
        like,
        limit,
      })
    const counts = this.#db.prepare<unknown[], { result: string; count: number }>(
      'SELECT result, count(*) AS count FROM host_results WHERE op_id = ? GROUP BY result',
    )
    return rows.map(({ dirty, ...row }) => ({
      ...row,
      isDirty: dirty === 1,
      results: Object.fromEntries(counts.all(row.opId).map(({ result, count }) => [result, count])),
    }))
  }

  /** Releases that are known here, newest first. */
  releases(
    service: string | null,
    limit: number,
  ): { release: string; version: string; service: string; at: string }[] {
    return this.#db
      .prepare<unknown[], { release: string; version: string; service: string; at: string }>(
        `SELECT release, version, service, max(at) AS at FROM pushes
         WHERE (@service IS NULL OR service = @service) AND release IN (SELECT digest FROM manifests)
         GROUP BY release ORDER BY at DESC LIMIT @limit`,
      )
      .all({ service, limit })
  }
}
