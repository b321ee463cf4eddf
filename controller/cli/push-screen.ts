import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
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
  switching: 'restarting',
  switched: 'waiting until it is healthy',
  probation: 'healthy, confirming',
  'rolling-back': 'going back to the old release',
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
  const evidence: { host: string; data: Record<string, unknown> }[] = []
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
        if (stateWords[state]) say(event.host, stateWords[state])
      }
      if (event.type === 'event' && event.event.type === 'evidence')
        evidence.push({ host: event.host, data: event.event.data })
      if (event.type === 'result') lineOf(event.host).report = event
    },
    end: () => {
      clearInterval(timer)
      if (isLive) live.clear()
      live.done()
      for (const [host, { report }] of lines)
        if (report) out.line(`  ${host.padEnd(width)}  ${resultText(report)}`)
      for (const one of evidence) showEvidence(out, one.host, one.data)
      for (const [host, { report }] of lines)
        if (report?.error) out.note(`  ${host}: ${report.error.code}  ${report.error.message}`)
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

/** What the service last said: the answers of the probes and the end of its log. */
function showEvidence(out: Output, host: string, data: Record<string, unknown>) {
  const answers = (data['answers'] as { detail: string; body: string }[] | undefined) ?? []
  for (const { detail, body } of answers) {
    out.note(`  ${host}: ${detail}`)
    for (const line of body.trim().split('\n').slice(0, 5)) if (line) out.note(`    │ ${line}`)
  }
  const log = (data['log'] as string[] | undefined) ?? []
  if (log.length > 0) out.note(`  ${host}: its last log lines`)
  for (const line of log.slice(-8)) out.note(`    │ ${line}`)
}
