import type { Db } from '../../shared/database.ts'
import type { ErrorBody } from '../../shared/errors.ts'
import type { ServiceState } from '../../shared/wire/api.ts'

/** What a host said when it was asked last, and what was in the way when it could not be. */
export type HostState = {
  service: string
  environment: string
  host: string
  /** ISO instant of the question. */
  at: string
  state: Omit<ServiceState, 'challenge'> | null
  /** The agent's version. */
  agent: string | null
  error: Pick<ErrorBody, 'code' | 'message' | 'next'> | null
}

type Row = Record<keyof HostState, string | null>

/** The fleet as it was seen last. */
export class HostStates {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Where a host cannot be asked, what it said before stays beside the error. */
  keep(states: readonly HostState[]): void {
    const insert = this.#db.prepare(
      `INSERT INTO host_states VALUES (@service, @environment, @host, @at, @state, @agent, @error)
       ON CONFLICT DO UPDATE SET at = @at, state = coalesce(@state, state), agent = coalesce(@agent, agent),
         error = @error`,
    )
    const all = this.#db.transaction(() => {
      for (const one of states)
        insert.run({
          ...one,
          state: one.state && JSON.stringify(one.state),
          error: one.error && JSON.stringify(one.error),
        })
    })
    all.immediate()
  }

  all(): HostState[] {
    return this.#db
      .prepare<unknown[], Row>('SELECT * FROM host_states ORDER BY service, environment, host')
      .all()
      .map(
        (row) =>
          ({
            ...row,
            state: row.state === null ? null : (JSON.parse(row.state) as HostState['state']),
            error: row.error === null ? null : (JSON.parse(row.error) as HostState['error']),
          }) as HostState,
      )
  }

  /** Hosts that are listed no more. */
  forget(service: string, environment: string, except: readonly string[]): void {
    this.#db
      .prepare(
        `DELETE FROM host_states WHERE service = ? AND environment = ?
           AND host NOT IN (SELECT value FROM json_each(?))`,
      )
      .run(service, environment, JSON.stringify(except))
  }
}
