import { spawn, type ChildProcess } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { Mix, Outcome } from './load-client.ts'

export type Load = AsyncDisposable & {
  /** Ends it: what was answered well, and what went wrong. */
  stop(): Promise<Outcome>
}

const program = new URL('load-client.ts', import.meta.url).pathname
const quiet: Omit<Mix, 'url'> = {
  kept: 1,
  fresh: 2,
  large: 0,
  slow: 0,
  webSockets: 0,
  eventStreams: 0,
  pauseMs: 2,
}

/** @param start runs the client somewhere else than here */
export function startLoad(
  mix: Pick<Mix, 'url'> & Partial<Mix>,
  start: (argv: string[]) => ChildProcess = ([command = '', ...args]) =>
    spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }),
): Load {
  const child = start([process.execPath, program, JSON.stringify({ ...quiet, ...mix })])
  const output = child.stdout ? text(child.stdout) : Promise.resolve('{}')
  let ended = false
  const stop = async () => {
    ended = true
    child.kill('SIGTERM')
    return JSON.parse(await output) as Outcome
  }
  return {
    stop,
    async [Symbol.asyncDispose]() {
      if (!ended) await stop()
    },
  }
}
