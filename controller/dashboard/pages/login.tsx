import { useState } from 'preact/hooks'
import { call, type Failure } from '../api.ts'
import { Page, Problem } from '../parts.tsx'

export function Login({ onDone }: { onDone: () => void }) {
  const [token, setToken] = useState('')
  const [failure, setFailure] = useState<Failure | null>(null)
  const enter = (event: Event) => {
    event.preventDefault()
    call('/session', 'POST', { token: token.trim() }).then(onDone, (error: unknown) =>
      setFailure(error as Failure),
    )
  }
  return (
    <main id="main" class="login">
      <Page title="Who are you?">
        <form onSubmit={enter}>
          <label>
            Token
            <input
              type="password"
              autocomplete="current-password"
              required
              value={token}
              onInput={({ currentTarget }) => setToken(currentTarget.value)}
            />
          </label>
          <button type="submit" class="main">
            Enter
          </button>
        </form>
        {failure && <Problem of={failure} />}
        <p class="quiet">
          A token comes from <code>deployctl token add NAME --role viewer</code> where the controller runs.
        </p>
      </Page>
    </main>
  )
}
