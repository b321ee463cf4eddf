import { useEffect, useState } from 'preact/hooks'
import { Link } from 'wouter-preact'
import type { RolloutView } from '../../server/views/rollouts.ts'
import { call, useData } from '../api.ts'
import { followRollout, type RolloutEvent } from '../live.ts'
import { Act, Page, State, Time, With } from '../parts.tsx'
import { BakePlots } from '../plot.tsx'
import { duration, signOf, toneOf } from '../words.ts'
import { eventText } from '../event-text.ts'
import { LogTail } from '../log-tail.tsx'

const tail = 200
const endings = ['done', 'failed', 'rolled-back', 'partial']

export function RolloutPage({ id, may }: { id: string; may: boolean }) {
  const loaded = useData<RolloutView>(`/rollouts/${id}`, ['rollout'])
  const [events, setEvents] = useState<readonly RolloutEvent[]>([])
  useEffect(() => {
    setEvents([])
    return followRollout(id, (event) => setEvents((before) => [...before, event]))
  }, [id])
  const { reload } = loaded
  useEffect(reload, [
    events.filter(({ event }) => event.type === 'result' || event.type === 'rollout').length,
  ])
  return (
    <With of={loaded}>
      {(rollout) => (
        <Page
          title={`${rollout.service} ${rollout.version} to ${rollout.environment}`}
          aside={may && <Steering of={rollout} onDone={reload} />}
        >
          <p class="counts">
            <State of={rollout.state} />
            {rollout.why !== null && <span>{rollout.why}</span>}
            <span>
              begun <Time at={rollout.began} />
            </span>
            {!endings.includes(rollout.state) && (
              <span>{rollout.isDriven ? 'somebody drives it' : 'nobody drives it now'}</span>
            )}
            {rollout.reason !== '' && <span>“{rollout.reason}”</span>}
          </p>
          <Batches of={rollout} />
          <BakePlots events={events} />
          <LogTail of={rollout} />
          <h2>What happens</h2>
          <ol class="log" tabIndex={0} aria-label="Events, newest first">
            {events
              .slice(-tail)
              .toReversed()
              .map(({ n, at, event }) => {
                const told = eventText(event)
                return (
                  told !== null && (
                    <li key={n}>
                      <time dateTime={at}>{at.slice(11, 23)}</time> {told}
                    </li>
                  )
                )
              })}
          </ol>
        </Page>
      )}
    </With>
  )
}

function Steering({ of: { id, state, hasCanary, batch }, onDone }: { of: RolloutView; onDone: () => void }) {
  const tell = (body: object) => () => call(`/rollouts/${id}/commands`, 'POST', body).then(onDone)
  const isEnded = endings.includes(state)
  const isCanary = state === 'paused' && hasCanary && batch === 0
  return (
    <div class="acts" role="group" aria-label="Steer the rollout">
      {!isEnded && state !== 'paused' && <Act does={tell({ do: 'pause' })}>Pause</Act>}
      {state === 'paused' && (
        <Act kind="main" does={tell({ do: 'resume' })}>
          {isCanary ? 'Promote' : 'Go on'}
        </Act>
      )}
      {(state === 'failed' || state === 'partial') && <Act does={tell({ do: 'retry' })}>Try again</Act>}
      {!isEnded && (
        <Act asks="Stop it? What has switched stays." does={tell({ do: 'abort', undo: 'nothing' })}>
          Abort
        </Act>
      )}
      {state !== 'done' && state !== 'rolled-back' && (
        <Act
          kind="danger"
          asks="Take all hosts that have switched back to their old release?"
          does={tell({ do: 'abort', undo: 'all' })}
        >
          Take back
        </Act>
      )}
    </div>
  )
}

function Batches({ of: rollout }: { of: RolloutView }) {
  const hosts = new Map(rollout.hosts.map((host) => [host.name, host]))
  return (
    <>
      {rollout.batches.map((names, index) => (
        <section key={index} aria-label={`Batch ${index + 1}`}>
          <h2>
            {rollout.hasCanary && index === 0 ? 'Canary' : `Batch ${index + 1}`}{' '}
            {index === rollout.batch && !endings.includes(rollout.state) && <small>now</small>}
            {rollout.hasCanary && index === 0 && (
              <small>watched for {duration(rollout.policy.bakeSeconds.canary * 1000)}</small>
            )}
          </h2>
          <ul class="grid">
            {names.map((name) => {
              const { at = 'unknown', opId = null } = hosts.get(name) ?? {}
              const tone = toneOf(at)
              const inside = (
                <>
                  <span aria-hidden="true">{signOf[tone]}</span> {name}{' '}
                  <small>{at.replaceAll('-', ' ')}</small>
                </>
              )
              return (
                <li key={name} class={`cell ${tone}`}>
                  {opId === null ? inside : <Link href={`/orders/${opId}`}>{inside}</Link>}
                </li>
              )
            })}
          </ul>
        </section>
      ))}
      {rollout.skipped.length > 0 && <p>Left out, could not be reached: {rollout.skipped.join(', ')}</p>}
    </>
  )
}
