import { useState } from 'preact/hooks'
import { Link, useLocation } from 'wouter-preact'
import type { FoundPush } from '../../history/search.ts'
import { useData } from '../api.ts'
import { Page, State, Table, Time, With } from '../parts.tsx'
import { short } from '../words.ts'

const fields = [
  ['service', 'Service'],
  ['environment', 'Environment'],
  ['who', 'Who'],
  ['host', 'Host'],
  ['result', 'Result'],
  ['text', 'Version, release or reason'],
] as const
type Field = (typeof fields)[number][0]

const page = 50

export function HistoryPage() {
  const [wanted, setWanted] = useState<Partial<Record<Field, string>>>({})
  const [before, setBefore] = useState<string | null>(null)
  const given = Object.entries(wanted).filter(([, value]) => value !== '')
  const query = new URLSearchParams([
    ...given,
    ...(before === null ? [] : [['before', before]]),
    ['limit', `${page}`],
  ])
  const loaded = useData<{ orders: FoundPush[] }>(`/history?${query}`, before === null ? ['rollout'] : [])
  return (
    <Page title="History">
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {fields.map(([field, label]) => (
          <label>
            {label}
            <input
              type="search"
              value={wanted[field] ?? ''}
              onInput={({ currentTarget }) => {
                setBefore(null)
                setWanted({ ...wanted, [field]: currentTarget.value.trim() })
              }}
            />
          </label>
        ))}
      </form>
      <With of={loaded}>
        {({ orders }) => (
          <>
            <Compare of={orders} />
            <Table
              caption="Orders, newest first"
              heads={['When', 'What', 'Version', 'Where', 'Who', 'Result']}
              empty="Nothing fits."
              rows={orders.map((order) => ({ key: order.opId, cells: cellsOf(order) }))}
            />
            <p class="acts">
              {before !== null && (
                <button type="button" onClick={() => setBefore(null)}>
                  Newest
                </button>
              )}
              {orders.length === page && (
                <button type="button" onClick={() => setBefore(orders.at(-1)?.at ?? null)}>
                  Older
                </button>
              )}
            </p>
          </>
        )}
      </With>
    </Page>
  )
}

function cellsOf({
  opId,
  at,
  action,
  service,
  version,
  isDirty,
  environment,
  signer,
  results,
  reason,
}: FoundPush) {
  return [
    <Time at={at} />,
    <Link href={`/orders/${opId}`}>
      {action} {service}
    </Link>,
    <>
      {version}
      {isDirty && ' *'}
      {reason !== '' && <small class="why">{reason}</small>}
    </>,
    environment,
    signer,
    Object.keys(results).length === 0
      ? 'no answer yet'
      : Object.entries(results).map(([result, count]) => (
          <span>
            {count} <State of={result} />
          </span>
        )),
  ]
}

/** Two of the releases that are shown, side by side. */
function Compare({ of: orders }: { of: readonly FoundPush[] }) {
  const [, go] = useLocation()
  const releases = [...new Map(orders.map((order) => [order.release, order])).values()]
  const [chosen, choose] = useState<{ before?: string; after?: string }>({})
  if (releases.length < 2) return null
  const before = chosen.before ?? releases[1]?.release ?? ''
  const after = chosen.after ?? releases[0]?.release ?? ''
  const select = (label: string, value: string, onChange: (value: string) => void) => (
    <label>
      {label}
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        {releases.map(({ release, service, version }) => (
          <option key={release} value={release}>
            {service} {version} ({short(release)})
          </option>
        ))}
      </select>
    </label>
  )
  return (
    <form
      class="filters"
      aria-label="Compare two releases"
      onSubmit={(event) => {
        event.preventDefault()
        go(`/diff/${before}/${after}`)
      }}
    >
      {select('Compare', before, (value) => choose({ ...chosen, before: value }))}
      {select('with', after, (value) => choose({ ...chosen, after: value }))}
      <button type="submit">Show the difference</button>
    </form>
  )
}
