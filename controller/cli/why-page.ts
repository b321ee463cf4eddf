import { parseDocument } from '../../shared/documents/document.ts'
import { isErrorCode } from '../../shared/errors.ts'
import { catalogue } from '../../shared/error-catalogue.ts'
import { Order, orderLimits } from '../../shared/formats/order.ts'
import { parserOf } from '../../shared/schema.ts'
import type { DeploymentEvent, HostFacts } from '../../shared/wire/api.ts'
import type { HostStory, Story } from '../rollout/why.ts'
import { someNames } from './rollout-words.ts'
import { bytes, duration } from './words.ts'

const orderParser = parserOf(Order)

/** One page, in Markdown, that explains how an order came out; for people and for a ticket. */
export function whyPage({ record, hosts }: Story): string {
  const [first] = hosts
  if (!first) return '# Nothing is known of what came of it\n'
  const parts = [head(first), ...(record ? [rolloutPart(record)] : []), ...hosts.map(hostPart)]
  return `${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function head({ push }: HostStory): string[] {
  const { service, version, environment, at, signer, reason, release, provenance, action } = push
  const order = parseDocument(orderParser, push.order, 'order', orderLimits)
  const from = provenance?.commit
    ? `commit ${provenance.commit.slice(0, 12)}${provenance.dirty ? ', with changes' : ''}`
    : 'no commit known'
  return [
    `# ${service} ${version} to ${environment}: ${action}`,
    '',
    `- ordered by ${signer} at ${at}${reason === '' ? '' : `: “${reason}”`}`,
    `- release ${release.slice(0, 12)}, from ${from}`,
    `- asked for: ${order.strategy}, confirm within ${order.confirmSeconds} s`,
    `- order ${push.opId}`,
  ]
}

function rolloutPart({ rollout }: NonNullable<Story['record']>): string[] {
  const { plan, state, why, hosts } = rollout
  const batches = plan.batches.map((names, index) => {
    const how = [...new Set(names.map((name) => hosts[name] ?? '?'))].map(
      (at) => `${at}: ${someNames(names.filter((name) => hosts[name] === at))}`,
    )
    return `- ${plan.canary && index === 0 ? 'canary' : `batch ${index + 1}`}: ${how.join('; ')}`
  })
  return [`## Rollout ${plan.id.slice(0, 8)}: ${state}${why === null ? '' : `, ${why}`}`, '', ...batches]
}

function hostPart({ host, result, events, facts, away }: HostStory): string[] {
  const error = result?.error ?? null
  const lines = [
    `## ${host}: ${result?.result ?? 'not known'}${result && result.strategy !== 'none' ? ` by ${result.strategy}` : ''}`,
    '',
  ]
  if (error) {
    lines.push(`**${error.code}** ${error.message}`)
    if (isErrorCode(error.code))
      lines.push('', `Next: ${catalogue[error.code].next.replaceAll(/\{host\}/g, host)}`)
    lines.push('')
  }
  if (result && result.reasons.length > 0)
    lines.push('Why so:', ...result.reasons.map((reason) => `- ${reason}`), '')
  lines.push(...stepsPart(events), ...evidencePart(events), ...factsPart(facts, away))
  return lines
}

/** Each thing that happened, with the time since the one before. */
function stepsPart(events: readonly DeploymentEvent[]): string[] {
  const told = events.filter(({ type }) => type !== 'receipt' && type !== 'evidence')
  if (told.length === 0) return []
  const rows = told.map(({ at, type, data }, index) => {
    const before = told[index - 1]
    const since = before ? `+${duration(Date.parse(at) - Date.parse(before.at))}` : at.slice(11, 23)
    return `    ${since.padStart(12)}  ${wordsOf(type, data)}`
  })
  return ['What happened:', '', ...rows, '']
}

function wordsOf(type: string, data: Record<string, unknown>): string {
  const value = (key: string) =>
    typeof data[key] === 'string' || typeof data[key] === 'number' ? String(data[key]) : ''
  if (type === 'state') return `${value('state')}${data['why'] === undefined ? '' : `: ${value('why')}`}`
  if (type === 'hook') return `${value('when')} hook ${value('command')}: ${value('line')}`
  if (type === 'accepted' || type === 'plan') return `${type}, ${value('strategy')}`
  return [type, value('message'), value('found')].filter(Boolean).join(' ')
}

type Evidence = { answers?: { detail: string; body: string }[]; log?: string[]; previousLog?: string[] }

function evidencePart(events: readonly DeploymentEvent[]): string[] {
  const found = events.filter(({ type }) => type === 'evidence').map(({ data }) => data as Evidence)
  return found.flatMap(({ answers = [], log = [], previousLog = [] }) => [
    ...block(
      'What the probes got:',
      answers.flatMap(({ detail, body }) => [
        detail,
        ...body
          .trim()
          .split('\n')
          .map((line) => `  ${line}`),
      ]),
    ),
    ...block('Last lines of the new release:', log),
    ...block('Last lines of the old release:', previousLog),
  ])
}

const block = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [title, '', ...lines.map((line) => `    ${line}`), '']

function factsPart(facts: HostFacts | null, away: string | null): string[] {
  if (away !== null) return [`The host could not be asked now: ${away}`]
  if (!facts) return []
  const { agent, os, kernel, arch, uptimeSeconds, cpus, load, memory, disk } = facts
  return [
    `The host: ${os}, ${kernel} ${arch}, up ${duration(uptimeSeconds * 1000)}, agent ${agent}`,
    `${cpus} processors, load ${load.map((one) => one.toFixed(2)).join(' ')}; ${bytes(memory.free)} of ${bytes(memory.total)} memory and ${bytes(disk.free)} of ${bytes(disk.total)} disk free`,
  ]
}
