import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export type Usage = { wallMs: number; cpuMs: number; peakMb: number }

/** Runs a command under GNU time; throws when it fails. */
export async function timed(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Usage> {
  const began = performance.now()
  const child = spawn('/usr/bin/time', ['-f', 'USED %U %S %M', ...argv], {
    cwd,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const [code] = (await once(child, 'close')) as [number]
  const wallMs = performance.now() - began
  const [, user = '0', system = '0', peak = '0'] = /USED ([\d.]+) ([\d.]+) (\d+)/.exec(log) ?? []
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${log}`)
  return { wallMs, cpuMs: (Number(user) + Number(system)) * 1000, peakMb: Number(peak) / 1024 }
}

/** CPU time of a process and of those of its children that have ended, in milliseconds. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return ticks * 10
}

export const memoryOf = (pid: number, field: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

/** A delayed way to a port of this machine. */
export async function startLink(port: number, delayMs: number) {
  const program = new URL('./delay-proxy.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, String(port), String(delayMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value ?? ''
  const own = Number(await next())
  return {
    port: own,
    /** Bytes since the last call, both directions. */
    async bytes(): Promise<number> {
      child.stdin.write('?\n')
      const { up, down } = JSON.parse(await next()) as { up: number; down: number }
      return up + down
    },
    end: () => child.stdin.end(),
  }
}
