import type { Rollout } from '../rollout/machine.ts'
import type { NoticeKind } from './notify-schema.ts'

/** What is told of a rollout, for programs. */
export type Notice = {
  type: `rollout.${NoticeKind}`
  timestamp: string
  data: {
    id: string
    service: string
    environment: string
    version: string
    release: string
    state: string
    why: string | null
    production: string
    hosts: Record<string, number>
  }
}

export type NoticeFacts = { service: string; environment: string; version: string; release: string }

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
  const data = { id: plan.id, ...facts, state, why, production: production[kind], hosts: counts }
  return { type: `rollout.${kind}`, timestamp: now, data }
}

/** The same for people. */
export function noticeText({ data }: Notice): string {
  const { service, version, environment, state, why, production: safe, hosts, id } = data
  const counts = Object.entries(hosts).map(([at, count]) => `${count} ${at}`)
  const head = `${service} ${version} → ${environment}: ${state}${why === null ? '' : ` (${why})`}`
  return `${head}\n${counts.join(', ')}. ${safe}\ndeployctl rollout show ${id.slice(0, 8)}`
}
