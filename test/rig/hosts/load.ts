import { text } from 'node:stream/consumers'
import type { TestHosts } from './hosts.ts'

export type Load = AsyncDisposable & {
  /** Ends it: how many requests were answered well, and what went wrong with the others. */
  stop(): Promise<{ good: number; bad: string[] }>
}

/** Asks all the time, each time over a new connection and over a kept one, until it is stopped. */
export function startLoad(rig: TestHosts, url: string): Load {
  const child = rig.spawn([process.execPath, '-e', program, url])
  const output = child.stdout ? text(child.stdout) : Promise.resolve('')
  let ended = false
  const stop = async () => {
    ended = true
    child.kill('SIGTERM')
    return JSON.parse(await output) as { good: number; bad: string[] }
  }
  return {
    stop,
    async [Symbol.asyncDispose]() {
      if (!ended) await stop()
    },
  }
}

const program = `
const http = require('node:http')
const [url] = process.argv.slice(1)
const result = { good: 0, bad: [] }
let on = true
process.on('SIGTERM', () => { on = false })
const ask = (agent) => new Promise((resolve) => {
  const request = http.get(url, { agent }, (response) => {
    response.resume()
    response.on('end', () => { response.statusCode === 200 ? result.good++ : result.bad.push(String(response.statusCode)); resolve() })
    response.on('error', (error) => { result.bad.push(error.message); resolve() })
  })
  request.setTimeout(10_000, () => request.destroy(new Error('no answer')))
  request.on('error', (error) => { result.bad.push(error.code ?? error.message); resolve() })
})
const kept = new http.Agent({ keepAlive: true, maxSockets: 1 })
const loop = async (agent) => { while (on) { await ask(agent); await new Promise((r) => setTimeout(r, 2)) } }
Promise.all([loop(false), loop(kept), loop(false)]).then(() => { process.stdout.write(JSON.stringify(result)); process.exit(0) })
`
