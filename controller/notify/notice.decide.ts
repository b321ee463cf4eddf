import type { ScheduleRun } from '../history/schedules.ts'
import type { Rollout } from '../rollout/machine.ts'
import type { Schedule } from '../schedule/schedule-schema.ts'
import type { NoticeKind } from './notify-schema.ts'

/** What is told, for programs. */
export type Notice = {
  type: `rollout.${string}` | `schedule.${string}`
  timestamp: string
  data: {
    /** Of the rollout, or the schedule's name. */
    id: string
    service: string
    environment: string
    version: string | null
    release: string | null
    state: string
    why: string | null
    production: string
    hosts: Record<string, number>
    /** Where to look at it; null where no dashboard is known. */
    link: string | null
    /** What to type to see more. */
    next: string
  }
}

export type NoticeFacts = {
  service: string
  environment: string
  version: string
  release: string
  link: string | null
}

const kinds: Partial<Record<Rollout['state'], NoticeKind>> = {
  paused: 'paused',
  done: 'done',
  failed: 'failed',
  partial: 'partial',
  'rolled-back': 'rolled-back',
}

const production: Record<NoticeKind, string> = {
  begun: 'It runs; hosts are being changed.',
  paused: 'It runs; some hosts have the new release, the others the old one.',
  done: 'It runs the new release.',
  failed: 'It is safe: the old release serves everywhere.',
  partial: 'It needs somebody: hosts run different releases.',
  'rolled-back': 'It is safe: the old release serves again.',
  'schedule-failed':
    'What became of hosts stands in the rollout, if one was begun; else nothing was changed.',
  'schedule-missed': 'Nothing was changed: it runs what it ran.',
}

/** What a state is called in notices; null for those that nobody needs to be told of. */
export function kindOf(state: Rollout['state'], isFirst: boolean): NoticeKind | null {
  return kinds[state] ?? (isFirst ? 'begun' : null)
}

export function noticeOf(
  kind: NoticeKind,
  { plan, state, why, hosts }: Rollout,
  facts: NoticeFacts,
  now: string,
): Notice {
  const counts: Record<string, number> = {}
  for (const at of Object.values(hosts)) counts[at] = (counts[at] ?? 0) + 1
  const next = `deployctl rollout show ${plan.id.slice(0, 8)}`
  const data = { id: plan.id, ...facts, state, why, production: production[kind], hosts: counts, next }
  return { type: `rollout.${kind}`, timestamp: now, data }
}

export function runNotice(
  { state, why, slot }: Pick<ScheduleRun, 'why' | 'slot'> & { state: 'failed' | 'missed' },
  { name, service, environment }: Schedule,
  link: string | null,
  now: string,
): Notice {
  const data = {
    id: name,
    service,
    environment,
    version: null,
    release: null,
    state: `${state} at ${new Date(slot).toISOString()}`,
    why,
    production: production[`schedule-${state}`],
    hosts: {},
    link,
    next: `deployctl schedule history ${name}`,
  }
  return { type: `schedule.${state}`, timestamp: now, data }
}

/** The same for people: what happened in one line, and the rest. */
export function noticeText({ type, data }: Notice): { head: string; text: string } {
  const { service, version, environment, state, why, production: safe, hosts, next, link, id } = data
  const counts = Object.entries(hosts).map(([at, count]) => `${count} ${at}`)
  const what = type.startsWith('schedule.') ? `schedule ${id} of ${service}` : `${service} ${version ?? ''}`
  const head = `${what} to ${environment}: ${state}${why === null ? '' : ` (${why})`}`
  const told = counts.length === 0 ? safe : `${counts.join(', ')}. ${safe}`
  return { head, text: [head, told, next, ...(link === null ? [] : [link])].join('\n') }
}
