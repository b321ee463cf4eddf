import { useData } from '../api.ts'
import { LogTail } from '../log-tail.tsx'
import { Page, Table, With } from '../parts.tsx'

type Service = Record<string, unknown> & {
  service: string
  environments: { name: string; hosts: string[]; protected: boolean; variables: string[] }[]
}

export function ServicePage({ service }: { service: string }) {
  const loaded = useData<Service>(`/services/${service}`)
  return (
    <Page title={service}>
      <With of={loaded}>
        {({ environments, ...settings }) => (
          <>
            <h2>Environments</h2>
            <Table
              caption={`Environments of ${service}`}
              heads={['Name', 'Hosts', 'Variables']}
              empty="None"
              rows={environments.map((one) => ({
                key: one.name,
                cells: [
                  `${one.name}${one.protected ? ' (protected)' : ''}`,
                  `${one.hosts.length}: ${one.hosts.slice(0, 12).join(', ')}${one.hosts.length > 12 ? ', …' : ''}`,
                  one.variables.join(', ') || '–',
                ],
              }))}
            />
            {environments.map(({ name, hosts }) => (
              <LogTail
                key={name}
                of={{ service, environment: name, hosts: hosts.map((host) => ({ name: host })) }}
              />
            ))}
            <h2>Settings</h2>
            <pre tabIndex={0}>{JSON.stringify(settings, null, 2)}</pre>
          </>
        )}
      </With>
    </Page>
  )
}
