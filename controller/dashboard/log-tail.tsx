import { useEffect, useState } from 'preact/hooks'
import { useData } from './api.ts'
import { With } from './parts.tsx'

type Line = { at: string; slot: string; stream: string; line: string }
type Place = { service: string; environment: string; hosts: readonly { name: string }[] }

const everyMs = 2_000

/** The last lines that the service wrote on a host; asked for only while somebody looks. */
export function LogTail({ of: { service, environment, hosts } }: { of: Place }) {
  const [isOpen, setOpen] = useState(false)
  const [host, setHost] = useState(hosts[0]?.name ?? '')
  if (hosts.length === 0) return null
  return (
    <details open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Log of {environment}</summary>
      <label>
        Host
        <select value={host} onChange={({ currentTarget }) => setHost(currentTarget.value)}>
          {hosts.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {isOpen && <Lines path={`/services/${service}/logs?environment=${environment}&host=${host}`} />}
    </details>
  )
}

function Lines({ path }: { path: string }) {
  const loaded = useData<{ lines: Line[] }>(path)
  const { reload } = loaded
  useEffect(() => {
    const timer = setInterval(reload, everyMs)
    return () => clearInterval(timer)
  }, [reload])
  return (
    <With of={loaded}>
      {({ lines }) => (
        <pre class="lines" role="log" tabIndex={0} aria-label="Last lines">
          {lines.length === 0
            ? 'It wrote nothing yet.'
            : lines.map(({ at, slot, line }) => `${at.slice(11, 23)} ${slot} ${line}`).join('\n')}
        </pre>
      )}
    </With>
  )
}
