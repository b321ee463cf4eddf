import { Link } from 'wouter-preact'
import type { RolloutSummary } from '../../history/rollouts.ts'
import { useData } from '../api.ts'
import { Page, State, Table, Time, With } from '../parts.tsx'

export const countsText = (counts: Readonly<Record<string, number | undefined>>): string =>
  Object.entries(counts)
    .map(([at, count]) => `${count} ${at}`)
    .join(', ')

export function Rollouts() {
  const loaded = useData<{ rollouts: RolloutSummary[] }>('/rollouts?limit=100', ['rollout'])
  return (
    <Page title="Rollouts">
      <With of={loaded}>
        {({ rollouts }) => (
          <Table
            caption="Rollouts, newest first"
            heads={['Begun', 'What', 'Where', 'State', 'Hosts']}
            empty="Nothing was rolled out from here yet."
            rows={rollouts.map(({ id, began, service, version, environment, state, why, hosts }) => ({
              key: id,
              cells: [
                <Time at={began} />,
                <Link href={`/rollouts/${id}`}>
                  {service} {version}
                </Link>,
                environment,
                <>
                  <State of={state} />
                  {why !== null && <small class="why">{why}</small>}
                </>,
                countsText(hosts),
              ],
            }))}
          />
        )}
      </With>
    </Page>
  )
}
