import { useData } from '../api.ts'
import { Page, State, Table, Time, With } from '../parts.tsx'
import { moment } from '../words.ts'

type Scope = { services: string[]; hosts: string[] } | null
type Trusted = {
  fleet: string
  version: number
  epoch: number
  expires: string
  thresholds: Record<string, number>
  keys: { owner: string; fingerprint: string; roles: string[]; notAfter: string | null; scope: Scope }[]
  policies: { scope: Scope; approvals?: number; cleanCommit?: true; windows: string[] }[]
}

const soonMs = 60 * 86_400_000

function Until({ at }: { at: string }) {
  const leftMs = Date.parse(at) - Date.now()
  return (
    <>
      {moment(at)} (<Time at={at} />) {leftMs < 0 && <State of="expired" tone="bad" />}
      {leftMs >= 0 && leftMs < soonMs && <State of="soon" tone="warn" />}
    </>
  )
}

const scopeText = (scope: Scope) =>
  scope === null ? 'everything' : `${scope.services.join(', ')} on ${scope.hosts.join(', ')}`

export function Trust() {
  const loaded = useData<Trusted>('/trust')
  return (
    <Page title="Trust">
      <With of={loaded}>
        {({ fleet, version, epoch, expires, thresholds, keys, policies }) => (
          <>
            <p>
              Fleet <code>{fleet.slice(0, 8)}</code>, root {version}, epoch {epoch}; good until{' '}
              <Until at={expires} />
            </p>
            <p>
              People who must sign:{' '}
              {Object.entries(thresholds)
                .map(([role, count]) => `${role} ${count}`)
                .join(', ')}
            </p>
            <h2>Keys</h2>
            <Table
              caption="Keys"
              heads={['Owner', 'Roles', 'For', 'Until', 'Fingerprint']}
              empty="There is none."
              rows={keys.map(({ owner, roles, scope, notAfter, fingerprint }) => ({
                key: fingerprint,
                cells: [
                  owner,
                  roles.join(', '),
                  scopeText(scope),
                  notAfter === null ? 'the root runs out' : <Until at={notAfter} />,
                  <code class="digest">{fingerprint}</code>,
                ],
              }))}
            />
            <h2>Policies</h2>
            <Table
              caption="Policies"
              heads={['For', 'People', 'Releases', 'When']}
              empty="None: the thresholds above are all."
              rows={policies.map(({ scope, approvals, cleanCommit, windows }, index) => ({
                key: String(index),
                cells: [
                  scopeText(scope),
                  approvals ?? '–',
                  cleanCommit ? 'of a commit without changes' : 'any',
                  windows.join(' or ') || 'at any time',
                ],
              }))}
            />
          </>
        )}
      </With>
    </Page>
  )
}
