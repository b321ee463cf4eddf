import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { Drain } from '../../shared/formats/receipt.ts'
import type { PushEvent, HostReport } from '../push/events.ts'
import type { Output } from './context.ts'
import { bytes, duration } from './words.ts'

const barWidth = 20
const framesMs = 80

/** Words for the states a person waits for. */
const stateWords: Record<string, string> = {
  staging: 'unpacking',
  staged: 'checking',
  checked: 'ready to switch',
  switching: 'starting the new release',
  switched: 'waiting until it is healthy',
  probation: 'healthy, confirming',
  'rolling-back': 'going back to the old release',
}
const hotWords: Record<string, string> = {
  switching: 'exchanging the code in the running program',
  draining: 'putting the old code away',
}

type Line = {
  stage: string
  progress: { sent: number; total: number } | null
  report: HostReport | null
  beganMs: number
}

/** Shows a push: a live line a host on a terminal, else a line for each step; events under --json. */
export function pushScreen(out: Output, hosts: readonly string[]) {
  const isLive = !out.json && process.stderr.isTTY
  const width = Math.max(4, ...hosts.map((host) => host.length))
  const lines = new Map<string, Line>()
  const strategies = new Map<string, unknown>()
  const evidence: { host: string; data: unknown }[] = []
  const live = createLogUpdate(process.stderr)
  const redraw = () =>
    live([...lines].map(([host, line]) => `  ${host.padEnd(width)}  ${describe(line)}`).join('\n'))
  const timer = isLive ? setInterval(redraw, framesMs) : undefined
  timer?.unref()
  const lineOf = (host: string): Line => {
    const line = lines.get(host) ?? { stage: '', progress: null, report: null, beganMs: performance.now() }
    lines.set(host, line)
    return line
  }
  const say = (host: string, stage: string) => {
    const line = lineOf(host)
    if (line.stage === stage) return
    line.stage = stage
    line.progress = null
    if (!isLive && !out.json) out.note(`  ${host.padEnd(width)}  ${stage}`)
  }
  return {
    emit: (event: PushEvent) => {
      out.event(event.type === 'result' ? { ...event, error: event.error?.toJSON() ?? null } : event)
      if (event.type === 'stage') say(event.host, event.stage)
      if (event.type === 'progress') lineOf(event.host).progress = event
      if (event.type === 'event' && event.event.type === 'state') {
        const state = String(event.event.data['state'])
        const strategy = strategies.get(event.host)
        const words = (strategy === 'hot' && hotWords[state]) || stateWords[state]
        if (words) say(event.host, words)
        if (state === 'draining' && strategy === 'handover') say(event.host, drainText({}))
      }
      if (event.type === 'event' && 'strategy' in event.event.data)
        strategies.set(event.host, event.event.data['strategy'])
      if (event.type === 'event' && event.event.type === 'draining')
        say(event.host, drainText(event.event.data))
      if (event.type === 'event' && event.event.type === 'evidence')
        evidence.push({ host: event.host, data: event.event.data })
      if (event.type === 'result') lineOf(event.host).report = event
    },
    end: () => {
      clearInterval(timer)
      if (isLive) live.clear()
      live.done()
      for (const [host, { report }] of lines)
        if (report) out.line(`  ${host.padEnd(width)}  ${resultText(report)}${cutText(report.drain)}`)
      for (const [data, names] of groupHosts(evidence.map(({ host, data }) => [host, JSON.stringify(data)])))
        showEvidence(out, names, JSON.parse(data) as Evidence)
      const errors = [...lines].flatMap(([host, { report }]): [string, string][] =>
        report?.error ? [[host, `${report.error.code}  ${report.error.message}`]] : [],
      )
      for (const [message, names] of groupHosts(errors)) out.note(`  ${names}: ${message}`)
    },
  }
}

function describe({ stage, progress, report, beganMs }: Line): string {
  if (report) return resultText(report)
  const took = styleText('dim', duration(performance.now() - beganMs), { stream: process.stderr })
  if (!progress || progress.total === 0) return `${stage} ${took}`
  const done = Math.round((progress.sent / progress.total) * barWidth)
  return `${stage} ${'█'.repeat(done)}${'░'.repeat(barWidth - done)} ${bytes(progress.sent)} of ${bytes(progress.total)} ${took}`
}

/** What ended before its time; nothing when all came to its own end. */
export function cutText(drain: Drain | null): string {
  if (!drain) return ''
  const { killed, cut, ms } = drain
  const parts = [count(cut?.requests, 'request'), count(cut?.connections, 'long connection')].filter(Boolean)
  if (!killed && parts.length === 0) return ''
  const how = killed ? `was killed after ${duration(ms)}` : `ended at the end of its time, ${duration(ms)}`
  const what = parts.length > 0 ? parts.join(' and ') : cut ? 'nothing' : 'what it still had to do'
  return `\n      the old release ${how}; cut off: ${what}`
}

/** What the old instance still has to do, by its own count. */
function drainText({ requests, connections }: Record<string, unknown>): string {
  const parts = [count(requests, 'request'), count(connections, 'long connection')].filter(Boolean)
  return `the old release finishes ${parts.length > 0 ? parts.join(' and ') : 'what it was asked'}`
}

const count = (value: unknown, what: string) =>
  typeof value === 'number' && value > 0 ? `${value} ${what}${value === 1 ? '' : 's'}` : ''

const marks = {
  committed: ['green', '✔ committed'],
  unchanged: ['green', '✔ unchanged'],
  skipped: ['yellow', '- skipped'],
  aborted: ['red', '✘ not changed'],
  'rolled-back': ['red', '✘ rolled back, the old release serves'],
  inconsistent: ['red', '‼ inconsistent: look at it now'],
  unknown: ['red', '? not known'],
} as const

export function resultText({ result, strategy, ms, sent, received, reasons }: HostReport): string {
  const [colour, words] = marks[result]
  const how = result === 'committed' ? ` by ${strategy}` : ''
  const cost = ms > 0 ? `  ${duration(ms)}  ${bytes(sent)} sent, ${bytes(received)} received` : ''
  const why = result === 'unchanged' && reasons[0] ? `: ${reasons[0]}` : ''
  return `${styleText(colour, words + how)}${why}${cost}`
}

/** Hosts of which the same is to be said, together: with a hundred hosts nobody reads it a hundred times. */
export function groupHosts(said: readonly (readonly [host: string, what: string])[]): Map<string, string> {
  const groups = new Map<string, string[]>()
  for (const [host, what] of said) groups.set(what, [...(groups.get(what) ?? []), host])
  return new Map([...groups].map(([what, hosts]) => [what, hosts.join(', ')]))
}

type Evidence = { answers?: { detail: string; body: string }[]; log?: string[] }

const bodyLinesShown = 5
const logLinesShown = 8

/** What the service last said: the answers of the probes and the end of its log. */
function showEvidence(out: Output, hosts: string, { answers = [], log = [] }: Evidence) {
  for (const { detail, body } of answers) {
    out.note(`  ${hosts}: ${detail}`)
    for (const line of body.trim().split('\n').slice(0, bodyLinesShown)) if (line) out.note(`    │ ${line}`)
  }
  if (log.length > 0) out.note(`  ${hosts}: its last log lines`)
  for (const line of log.slice(-logLinesShown)) out.note(`    │ ${line}`)
}
