import { useEffect, useRef } from 'preact/hooks'
import { Link } from 'wouter-preact'
import type { RunState } from '../../schedule/due.decide.ts'
import type { Schedule } from '../../schedule/schedule-schema.ts'
import { call, useData } from '../api.ts'
import { Act, Page, State, Table, Time, With } from '../parts.tsx'
import { moment, signOf, toneOf } from '../words.ts'

type Run = { schedule: string; slot: string; state: RunState; why: string | null; rollout: string | null }
type Known = Schedule & { next: string[]; last: Run | null }
type Calendar = { now: string; due: { schedule: string; service: string; at: string }[]; runs: Run[] }

const days = 7
const dayMs = 86_400_000
const perDay = 8

export function Schedules({ may }: { may: boolean }) {
  const loaded = useData<{ schedules: Known[] }>('/schedules', ['schedules'])
  const calendar = useData<Calendar>(`/schedules/calendar?days=${days}`, ['schedules'])
  return (
    <Page title="Schedules">
      <With of={loaded}>
        {({ schedules }) => (
          <Table
            caption="Schedules"
            heads={['Name', 'When', 'What', 'Next', 'Last', ...(may ? ['Do'] : [])]}
            empty="There is none yet: deployctl schedule add --help"
            rows={schedules.map((one) => ({ key: one.name, cells: cellsOf(one, may) }))}
          />
        )}
      </With>
      <h2>The week before, and the week to come</h2>
      <With of={calendar}>{(data) => <Week of={data} />}</With>
    </Page>
  )
}

export const whatText = ({ action, service, environment, on }: Schedule): string => {
  const where = `${service} in ${environment}${on === undefined ? '' : ` on ${on}`}`
  if (action.do === 'deploy')
    return `deploy ${'channel' in action ? `the newest of ${action.channel}` : action.release.slice(0, 12)}: ${where}`
  return `${action.do}: ${where}`
}

function cellsOf(one: Known, may: boolean) {
  const { name, cron, timeZone, next, last, isPaused } = one
  const at = `/schedules/${name}`
  return [
    <strong>{name}</strong>,
    <>
      <code>{cron}</code> {timeZone}
    </>,
    whatText(one),
    isPaused ? <State of="paused" /> : next[0] === undefined ? 'never' : <Time at={next[0]} />,
    last === null ? '–' : <RunText of={last} />,
    ...(may
      ? [
          <div class="acts">
            <Act does={() => call(`${at}/runs`, 'POST', {})} asks={`Run ${name} now?`}>
              Run now
            </Act>
            <Act does={() => call(at, 'PATCH', { isPaused: !isPaused })}>{isPaused ? 'Go on' : 'Pause'}</Act>
            <Act kind="danger" does={() => call(at, 'DELETE')} asks={`Remove ${name}?`}>
              Remove
            </Act>
          </div>,
        ]
      : []),
  ]
}

function RunText({ of: { slot, state, why, rollout } }: { of: Run }) {
  return (
    <>
      <State of={state} />{' '}
      {rollout === null || state === 'waiting' ? (
        <Time at={slot} />
      ) : (
        <Link href={`/rollouts/${rollout}`}>
          <Time at={slot} />
        </Link>
      )}
      {why !== null && <small class="why">{why}</small>}
    </>
  )
}

/** A column a day, on the calendar of whoever looks. */
function Week({ of: { now, due, runs } }: { of: Calendar }) {
  const today = new Date(now).setHours(0, 0, 0, 0)
  const columns = Array.from(
    { length: days * 2 + 1 },
    (_, n) => new Date(today + (n - days) * dayMs + dayMs / 2),
  )
  const current = useRef<HTMLLIElement>(null)
  useEffect(() => {
    const week = current.current?.parentElement
    if (week && current.current) week.scrollLeft = current.current.offsetLeft - week.offsetLeft - 12
  }, [])
  const isOn = (day: Date, iso: string) => new Date(iso).toDateString() === day.toDateString()
  return (
    <ol class="week" tabIndex={0} aria-label="Calendar of runs">
      {columns.map((day) => {
        const past = runs.filter(({ slot }) => isOn(day, slot)).toReversed()
        const coming = due.filter(({ at }) => isOn(day, at))
        const entries = [
          ...past.map((run) => ({ at: run.slot, name: run.schedule, state: run.state as string })),
          ...coming.map(({ at, schedule }) => ({ at, name: schedule, state: 'due' })),
        ]
        const isToday = isOn(day, now)
        return (
          <li key={day.toISOString()} class={isToday ? 'today' : ''} ref={isToday ? current : null}>
            <h3>{day.toLocaleDateString(undefined, { weekday: 'short', day: 'numeric', month: 'short' })}</h3>
            <ul>
              {entries.slice(0, perDay).map(({ at, name, state }) => (
                <li key={`${at} ${name}`} class={toneOf(state)} title={`${name}, ${moment(at)}: ${state}`}>
                  <span aria-hidden="true">{signOf[toneOf(state)]}</span>{' '}
                  {new Date(at).toLocaleTimeString(undefined, { timeStyle: 'short' })} {name}
                  <span class="hidden">, {state}</span>
                </li>
              ))}
              {entries.length > perDay && <li>… {entries.length - perDay} more</li>}
            </ul>
          </li>
        )
      })}
    </ol>
  )
}
