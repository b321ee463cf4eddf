import { useState } from 'preact/hooks'
import type { AuditEntry, Token } from '../../history/access.ts'
import { call, useData, type Failure } from '../api.ts'
import { Act, Page, Problem, State, Table, Time, With } from '../parts.tsx'
import { moment } from '../words.ts'

export function Access() {
  const tokens = useData<{ tokens: Token[] }>('/tokens')
  const audit = useData<{ entries: AuditEntry[] }>('/audit?limit=100')
  return (
    <Page title="Access">
      <NewToken onDone={tokens.reload} />
      <h2>Tokens</h2>
      <With of={tokens}>
        {(data) => (
          <Table
            caption="Tokens"
            heads={['Name', 'Role', 'Since', 'Until', 'Used', 'Do']}
            empty="There is none."
            rows={data.tokens.map(({ name, role, added, expires, used }) => ({
              key: name,
              cells: [
                name,
                role,
                <Time at={added} />,
                expires === null ? 'taken back' : moment(expires),
                used === null ? 'never' : <Time at={used} />,
                <Act
                  kind="danger"
                  asks={`Take the token ${name} back?`}
                  does={() => call(`/tokens/${name}`, 'DELETE').then(tokens.reload)}
                >
                  Take back
                </Act>,
              ],
            }))}
          />
        )}
      </With>
      <h2>Who called what</h2>
      <With of={audit}>
        {({ entries }) => (
          <Table
            caption="Calls of the API, newest first"
            heads={['When', 'Who', 'What', 'Answer', 'From']}
            empty="Nothing yet."
            rows={entries.map(({ n, at, who, role, method, path, status, address }) => ({
              key: String(n),
              cells: [
                <Time at={at} />,
                `${who} (${role})`,
                <code>
                  {method} {path}
                </code>,
                <State of={String(status)} tone={status < 400 ? 'good' : 'warn'} />,
                address,
              ],
            }))}
          />
        )}
      </With>
    </Page>
  )
}

function NewToken({ onDone }: { onDone: () => void }) {
  const [made, setMade] = useState<{ secret: string } | null>(null)
  const [failure, setFailure] = useState<Failure | null>(null)
  const make = (event: SubmitEvent) => {
    event.preventDefault()
    if (!(event.currentTarget instanceof HTMLFormElement)) return
    const form = new FormData(event.currentTarget)
    call<{ secret: string }>('/tokens', 'POST', { name: form.get('name'), role: form.get('role') }).then(
      (token) => {
        setMade(token)
        setFailure(null)
        onDone()
      },
      (error: unknown) => setFailure(error as Failure),
    )
  }
  return (
    <form class="filters" aria-label="A new token" onSubmit={make}>
      <label>
        Name
        <input name="name" required pattern="[A-Za-z0-9][A-Za-z0-9._@+\-]*" />
      </label>
      <label>
        Role
        <select name="role">
          <option>viewer</option>
          <option>operator</option>
          <option>admin</option>
        </select>
      </label>
      <button type="submit">New token</button>
      {made && (
        <p role="status">
          It is shown this once: <code>{made.secret}</code>
        </p>
      )}
      {failure && <Problem of={failure} />}
    </form>
  )
}
