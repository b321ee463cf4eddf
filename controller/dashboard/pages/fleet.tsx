import { useState } from 'preact/hooks'
import { Link } from 'wouter-preact'
import type { EnvironmentView, HostView } from '../../server/views/fleet.ts'
import { call, useData } from '../api.ts'
import { Act, Page, State, Table, Time, With } from '../parts.tsx'
import { moment, short } from '../words.ts'

type Fleet = {
  version: string
  environments: EnvironmentView[]
  problems: { dir: string; message: string }[]
}

const shown = 200

export function FleetPage({ may }: { may: boolean }) {
  const fleet = useData<Fleet>('/fleet', ['fleet', 'rollout'])
  const [wanted, setWanted] = useState('')
  return (
    <Page
      title="Fleet"
      aside={may && <Act does={() => call('/fleet/look', 'POST', {})}>Ask all hosts now</Act>}
    >
      <With of={fleet}>
        {({ environments, problems, version }) => (
          <>
            {problems.map(({ dir, message }) => (
              <p class="problem" role="alert">
                {dir}: {message}
              </p>
            ))}
            <label class="search">
              Find a host, version, label or state
              <input
                type="search"
                value={wanted}
                onInput={({ currentTarget }) => setWanted(currentTarget.value)}
              />
            </label>
            {environments.length === 0 && (
              <p class="quiet">
                No service is known here yet. In a project: <code>deployctl publish</code>
              </p>
            )}
            {environments.map((one) => (
              <Environment
                key={`${one.service} ${one.environment}`}
                of={one}
                wanted={wanted}
                controller={version}
              />
            ))}
          </>
        )}
      </With>
    </Page>
  )
}

const fits = (wanted: string, host: HostView) => {
  const { name, version, health, labels, hasDrifted } = host
  const text = [
    name,
    version,
    health,
    hasDrifted ? 'drift' : '',
    ...Object.entries(labels).map((pair) => pair.join('=')),
  ]
  return text.join(' ').toLowerCase().includes(wanted.toLowerCase())
}

function Environment({
  of,
  wanted,
  controller,
}: {
  of: EnvironmentView
  wanted: string
  controller: string
}) {
  const { service, environment, hosts, version } = of
  const found = hosts.filter((host) => fits(wanted, host))
  const counts = Object.entries(Object.groupBy(hosts, ({ health }) => health))
  const drifted = hosts.filter(({ hasDrifted }) => hasDrifted).length
  return (
    <section aria-label={`${service} in ${environment}`}>
      <h2>
        <Link href={`/services/${service}`}>{service}</Link> in {environment}
      </h2>
      <p class="counts">
        {version !== null && (
          <span>
            newest: <strong>{version}</strong>
          </span>
        )}
        {counts.map(([health, some]) => (
          <span>
            {some?.length} <State of={health} />
          </span>
        ))}
        {drifted > 0 && (
          <span>
            {drifted} <State of="drifted" tone="warn" />
          </span>
        )}
      </p>
      <Table
        caption={`Hosts of ${service} in ${environment}`}
        heads={['Host', 'State', 'Version', 'Labels', 'Agent', 'Asked']}
        empty={hosts.length === 0 ? 'It has no hosts yet.' : 'No host fits.'}
        rows={found.slice(0, shown).map((host) => ({ key: host.name, cells: cellsOf(host, controller) }))}
      />
      {found.length > shown && <p class="quiet">… and {found.length - shown} more: find them above.</p>}
    </section>
  )
}

function cellsOf(host: HostView, controller: string) {
  const { name, health, version, release, labels, agent, at, problem, hasDrifted, restarts, frozenUntil } =
    host
  return [
    <strong>{name}</strong>,
    <>
      <State of={health} />
      {restarts > 0 && <State of={`${restarts} restarts`} tone="warn" />}
      {frozenUntil !== null && <State of={`frozen until ${moment(frozenUntil)}`} tone="warn" />}
      {problem !== null && <small class="why">{problem}</small>}
    </>,
    <>
      {version ?? '–'} {release !== null && <code class="digest">{short(release)}</code>}
      {hasDrifted && <State of="not the newest" tone="warn" />}
    </>,
    Object.entries(labels)
      .map((pair) => pair.join('='))
      .join(' ') || '–',
    <>
      {agent ?? '–'} {agent !== null && agent !== controller && <State of="another version" tone="warn" />}
    </>,
    at === null ? '–' : <Time at={at} />,
  ]
}
