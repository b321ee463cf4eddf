/**
 * Asks a service in every way at once until it gets SIGTERM, then prints what became of it, as JSON. Each
 * answer must be whole and from one release only. A program of its own, so that it can run elsewhere.
 */
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export type Mix = {
  url: string
  /** Loops, each over one kept connection. */
  kept: number
  /** Loops, each time over a new connection. */
  fresh: number
  large: number
  slow: number
  webSockets: number
  eventStreams: number
  /** Between two requests of a loop, in milliseconds. */
  pauseMs: number
  /** Where the first two ask; / when left out. */
  path?: string
  /** One connection may tell of several releases. */
  keepsStreams?: boolean
}

export type Outcome = {
  good: number
  failed: number
  /** What went wrong, the first of it. */
  bad: string[]
  /** How many answers came from each release. */
  releases: Record<string, number>
  /** Streams that were ended in good order and opened again. */
  reconnects: number
  p50: number
  p99: number
  max: number
}

const answerTimeoutMs = 20_000
const badShown = 50
const end = new AbortController()
const outcome: Outcome = { good: 0, failed: 0, bad: [], releases: {}, reconnects: 0, p50: 0, p99: 0, max: 0 }
const times: number[] = []

const over = new Promise<null>((resolve) => {
  process.once('SIGTERM', () => {
    end.abort()
    resolve(null)
  })
})

function bad(what: string) {
  outcome.failed += 1
  if (outcome.bad.length < badShown) outcome.bad.push(`${new Date().toISOString()} ${what}`)
}

/** All lines of a body must name the same release. */
function count(path: string, body: string) {
  const names = new Set(
    body
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0] ?? ''),
  )
  const [name = ''] = names
  if (names.size !== 1) return bad(`${path}: ${[...names].slice(0, 3).join(', ')} in one answer`)
  outcome.good += 1
  outcome.releases[name] = (outcome.releases[name] ?? 0) + 1
}

function ask(url: URL, agent: http.Agent | false): Promise<void> {
  const began = performance.now()
  return new Promise((resolve) => {
    const request = http.get(url, { agent }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      response.once('error', (error) => (bad(`${url.pathname}: ${error.message} in the answer`), resolve()))
      response.once('end', () => {
        if (!response.complete) bad(`${url.pathname}: cut short`)
        else if (response.statusCode !== 200) bad(`${url.pathname}: ${response.statusCode}`)
        else count(url.pathname, body)
        times.push(performance.now() - began)
        resolve()
      })
    })
    request.setTimeout(answerTimeoutMs, () => request.destroy(new Error('no answer')))
    request.once('error', (error: NodeJS.ErrnoException) => {
      bad(`${url.pathname}: ${error.code ?? error.message} after ${Math.round(performance.now() - began)} ms`)
      resolve()
    })
  })
}

async function loop(path: string, isKept: boolean, { url, pauseMs }: Mix) {
  const agent = isKept ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false
  while (!end.signal.aborted) {
    await ask(new URL(path, url), agent)
    if (pauseMs > 0) await delay(pauseMs)
  }
  if (agent) agent.destroy()
}

/** Until it is ended in good order, then again. */
async function webSocket({ url, keepsStreams = false }: Mix) {
  while (!end.signal.aborted) {
    const socket = new WebSocket(url.replace('http:', 'ws:'))
    const names = new Set<string>()
    socket.addEventListener('message', ({ data }) => names.add(String(data)))
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener('close', (event) => resolve(event.code))
      socket.addEventListener('error', () => {})
    })
    const code = await Promise.race([closed, over])
    if (names.size > 1 && !keepsStreams) bad('WebSocket: two releases on one connection')
    if (!end.signal.aborted && code !== 1012) bad(`WebSocket: closed with ${code}`)
    if (!end.signal.aborted) outcome.reconnects += 1
    outcome.good += 1
  }
}

async function eventStream({ url }: Mix) {
  while (!end.signal.aborted) {
    const ended = new Promise<string | null>((resolve) => {
      const request = http.get(new URL('/events', url), { agent: false }, (response) => {
        response.resume()
        response.once('end', () => resolve(null))
        response.once('error', (error) => resolve(error.message))
      })
      request.once('error', (error) => resolve(error.message))
    })
    const why = await Promise.race([ended, over])
    if (!end.signal.aborted && why !== null) bad(`event stream: ${why}`)
    if (!end.signal.aborted) outcome.reconnects += 1
    outcome.good += 1
  }
}

// Whoever began it may be killed: then nobody would end it.
const parent = process.ppid
setInterval(() => process.ppid !== parent && process.exit(1), 1_000).unref()

const [, , given = '{}'] = process.argv
const mix = JSON.parse(given) as Mix
const many = (n: number, begin: () => Promise<void>) => Array.from({ length: n }, begin)
await Promise.all([
  ...many(mix.kept, () => loop(mix.path ?? '/', true, mix)),
  ...many(mix.fresh, () => loop(mix.path ?? '/', false, mix)),
  ...many(mix.large, () => loop('/large', true, mix)),
  ...many(mix.slow, () => loop('/slow', true, mix)),
  ...many(mix.webSockets, () => webSocket(mix)),
  ...many(mix.eventStreams, () => eventStream(mix)),
])
times.sort((one, other) => one - other)
const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
Object.assign(outcome, { p50: at(0.5), p99: at(0.99), max: times.at(-1) ?? 0 })
process.stdout.write(JSON.stringify(outcome))
process.exit(0)
