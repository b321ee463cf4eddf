import { Link } from 'wouter-preact'
import { useData } from '../api.ts'
import { eventText } from '../event-text.ts'
import { Page, State, Table, Time, With } from '../parts.tsx'
import { bytes, duration, moment, short } from '../words.ts'

type HostEvent = { n: number; at: string; type: string; data: Record<string, unknown> }
type Facts = {
  agent: string
  os: string
  kernel: string
  arch: string
  uptimeSeconds: number
  cpus: number
  load: number[]
  memory: { total: number; free: number }
  disk: { total: number; free: number }
}
type HostStory = {
  host: string
  result: string | null
  strategy: string | null
  reasons: string[]
  error: { code: string; message: string; next: string | null } | null
  events: HostEvent[]
  facts: Facts | null
  away: string | null
}
type Told = {
  service: string
  environment: string
  version: string
  release: string
  at: string
  action: string
  signer: string
  reason: string
  rollout: string | null
  provenance: { commit: string | null; dirty: boolean } | null
  page: string
  results: { host: string; result: string; strategy: string; ended: string; ms: number }[]
  hosts: HostStory[]
}

export function Order({ id }: { id: string }) {
  const loaded = useData<Told>(`/orders/${id}`)
  return (
    <With of={loaded}>
      {(told) => (
        <Page
          title={`${told.action} of ${told.service} ${told.version} to ${told.environment}`}
          aside={<Copy text={told.page} />}
        >
          <dl class="facts">
            <dt>Ordered</dt>
            <dd>
              {moment(told.at)} by {told.signer}
              {told.reason !== '' && <> – “{told.reason}”</>}
            </dd>
            <dt>Release</dt>
            <dd>
              <code>{short(told.release)}</code>
              {told.provenance?.commit && (
                <>
                  , from commit <code>{short(told.provenance.commit)}</code>
                  {told.provenance.dirty && ' with changes'}
                </>
              )}
            </dd>
            {told.rollout !== null && (
              <>
                <dt>Rollout</dt>
                <dd>
                  <Link href={`/rollouts/${told.rollout}`}>{told.rollout.slice(0, 8)}</Link>
                </dd>
              </>
            )}
          </dl>
          <h2>Hosts</h2>
          <Table
            caption="What it came to on each host"
            heads={['Host', 'Result', 'How', 'Ended', 'Took']}
            empty="No answer yet."
            rows={told.results.map(({ host, result, strategy, ended, ms }) => ({
              key: host,
              cells: [host, <State of={result} />, strategy, <Time at={ended} />, duration(ms)],
            }))}
          />
          {told.hosts.map((host) => (
            <Story key={host.host} of={host} />
          ))}
        </Page>
      )}
    </With>
  )
}

/** The same as `deployctl why` writes, for a ticket. */
function Copy({ text }: { text: string }) {
  const href = URL.createObjectURL(new Blob([text], { type: 'text/markdown' }))
  return (
    <a class="button" href={href} download="why.md">
      Save as Markdown
    </a>
  )
}

function Story({ of: { host, error, reasons, events, facts, away } }: { of: HostStory }) {
  const evidence = events.filter(({ type }) => type === 'evidence').map(({ data }) => data as Evidence)
  return (
    <section aria-label={host}>
      <h2>{host}</h2>
      {error && (
        <div class="problem">
          <p>
            <strong>{error.code}</strong> {error.message}
          </p>
          {error.next !== null && <p>{error.next}</p>}
        </div>
      )}
      {reasons.length > 0 && (
        <ul>
          {reasons.map((reason) => (
            <li>{reason}</li>
          ))}
        </ul>
      )}
      <ol class="log" tabIndex={0} aria-label={`What happened on ${host}`}>
        {events.map((event, index) => {
          const text = eventText({ type: 'event', host: '', event })?.replace(/^: /, '') ?? null
          const before = events[index - 1]
          const since = before
            ? `+${duration(Date.parse(event.at) - Date.parse(before.at))}`
            : event.at.slice(11, 23)
          return (
            text !== null && (
              <li key={event.n}>
                <time dateTime={event.at}>{since}</time> {text}
              </li>
            )
          )
        })}
      </ol>
      {evidence.map(({ answers = [], log = [], previousLog = [] }) => (
        <>
          <Block
            title="What the probes got"
            lines={answers.flatMap(({ detail, body }) => [detail, `  ${body.trim()}`])}
          />
          <Block title="Last lines of the new release" lines={log} />
          <Block title="Last lines of the old release" lines={previousLog} />
        </>
      ))}
      {away !== null && <p class="quiet">The host could not be asked now: {away}</p>}
      {facts && (
        <p class="quiet">
          {facts.os}, {facts.kernel} {facts.arch}, agent {facts.agent}; {facts.cpus} processors, load{' '}
          {facts.load.map((one) => one.toFixed(2)).join(' ')}; {bytes(facts.memory.free)} of{' '}
          {bytes(facts.memory.total)} memory and {bytes(facts.disk.free)} of {bytes(facts.disk.total)} disk
          free
        </p>
      )}
    </section>
  )
}

type Evidence = { answers?: { detail: string; body: string }[]; log?: string[]; previousLog?: string[] }

function Block({ title, lines }: { title: string; lines: readonly string[] }) {
  if (lines.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <pre tabIndex={0}>{lines.join('\n')}</pre>
    </>
  )
}
