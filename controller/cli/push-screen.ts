import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { Drain } from '../../shared/formats/receipt.ts'
import type { HostReport, PushEvent, RolloutNews } from '../push/events.ts'
import type { Output } from './context.ts'
import { comparisonText, hookText, newsText, restMs, summary } from './rollout-words.ts'
import { bytes, duration } from './words.ts'

const barWidth = 20
const framesMs = 80
/** More hosts than this are told of by what they have in common. */
const linesShown = 24

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
  let news: RolloutNews | null = null
  let isHeld = false
  const redraw = () => {
    if (isHeld) return
    const all = [...lines]
    const busy = all.filter(([, { report, stage }]) => !report && stage !== '')
    const shown = all.length <= linesShown ? all : busy.slice(0, linesShown)
    const drawn = shown.map(([host, line]) => `  ${host.padEnd(width)}  ${describe(line)}`)
    live([...headOf(news, [...lines.values()], hosts.length), ...drawn].join('\n'))
  }
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
  const sayLine = (host: string, words: string) => {
    if (words === '' || out.json) return
    if (isLive) live.clear()
    out.note(`  ${host === '' ? '' : `${host.padEnd(width)}  `}${words}`)
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
      if (event.type === 'event' && event.event.type === 'rehearsing')
        say(event.host, 'rehearsing the way back')
      if (event.type === 'event' && event.event.type === 'hook')
        sayLine(event.host, hookText(event.event.data))
      if (event.type === 'comparison') for (const line of comparisonText(event)) sayLine('', line)
      if (event.type !== 'rollout') return
      news = event
      sayLine('', newsText(event))
    },
    /** While somebody else writes on the screen. */
    hold: (isNow: boolean) => {
      isHeld = isNow
      if (isLive) live.clear()
    },
    end: () => {
      clearInterval(timer)
      if (isLive) live.clear()
      live.done()
      const reports = [...lines.values()].flatMap(({ report }) => (report ? [report] : []))
      const isLong = reports.length > linesShown
      const alone = isLong
        ? reports.filter(({ result, drain }) => !isGood(result) || cutText(drain) !== '')
        : reports
      const alike = isLong
        ? summary(
            reports.filter((one) => !alone.includes(one)),
            resultName,
          )
        : []
      for (const line of alike) out.line(`  ${line}`)
      for (const report of alone)
        out.line(`  ${report.host.padEnd(width)}  ${resultText(report)}${cutText(report.drain)}`)
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

const isGood = (result: HostReport['result']) => result === 'committed' || result === 'unchanged'

function resultName({ result, strategy }: HostReport): string {
  const [colour, words] = marks[result]
  return styleText(colour, words + (result === 'committed' ? ` by ${strategy}` : ''))
}

/** How far it is, where more than one thing happens after the other. */
function headOf(news: RolloutNews | null, lines: readonly Line[], total: number): string[] {
  if (news === null || (news.batches === 1 && total <= news.parallel)) return []
  const done = lines.flatMap(({ report }) => (report ? [report] : []))
  const rest = restMs(done, total - done.length, news.parallel)
  const eta = rest === null || done.length >= total ? '' : `, about ${duration(rest)} to go`
  return [styleText('dim', `  ${done.length} of ${total} hosts done${eta}`, { stream: process.stderr })]
}

export function resultText(report: HostReport): string {
  const { result, ms, sent, received, reasons } = report
  const cost = ms > 0 ? `  ${duration(ms)}  ${bytes(sent)} sent, ${bytes(received)} received` : ''
  const why = result === 'unchanged' && reasons[0] ? `: ${reasons[0]}` : ''
  return `${resultName(report)}${why}${cost}`
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
