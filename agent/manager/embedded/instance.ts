import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { serviceDefaults } from '../../../shared/formats/service-spec.ts'
import type { InstanceSpec, InstanceStatus, Stopped } from '../manager.ts'
import { lineSplitter, type LogFile } from './log-file.ts'

const firstBackoffMs = 250
const maxBackoffMs = 30_000
/** Running this long makes an instance a healthy one again. */
const stableMs = 10_000

/** A process by number and start time: numbers come again. */
export type ProcessId = { pid: number; startTime: string }

/** One child process in its own group, started again whenever it ends by itself. */
export class Instance {
  /** As it is started the next time; what runs may have begun as another release. */
  spec: InstanceSpec
  /** Takes no traffic before it is let. */
  isHeld: boolean
  readonly #fds: readonly number[]
  readonly #log: LogFile
  #child: ChildProcess | null = null
  #startedMs = 0
  #restarts = 0
  #inARow = 0
  #lastEnd: string | null = null
  #stopping = false
  #timer: NodeJS.Timeout | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(spec: InstanceSpec, fds: readonly number[], log: LogFile, isHeld: boolean) {
    this.spec = spec
    this.isHeld = isHeld
    this.#fds = fds
    this.#log = log
  }

  start(): void {
    const { spec } = this
    // Only a shell knows the number of the process it becomes, which LISTEN_PID must be.
    const argv = ['-c', 'export LISTEN_PID=$$; exec "$@"', 'sh', ...spec.argv]
    const child = spawn('/bin/sh', argv, {
      cwd: spec.cwd,
      env: { ...environmentOf(spec), ...(this.isHeld && { DEPLOYCTL_HOLD: '1' }) },
      stdio: ['ignore', 'pipe', 'pipe', ...this.#fds],
      detached: true,
    })
    this.#child = child
    this.#startedMs = performance.now()
    for (const stream of ['out', 'err'] as const) {
      const lines = lineSplitter((line) => this.#log.write({ slot: spec.slot, stream, line }))
      const source = stream === 'out' ? child.stdout : child.stderr
      source
        ?.setEncoding('utf8')
        .on('data', lines.push)
        .on('end', lines.end)
        .on('error', () => {})
    }
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(this.#onEnd(error.message)))
      child.once('exit', (code, signal) => resolve(this.#onEnd(signal ?? `exit ${code}`)))
    })
  }

  #onEnd(how: string) {
    if (this.#child === null) return
    const ranMs = performance.now() - this.#startedMs
    this.#killGroup('SIGKILL')
    this.#child = null
    this.#lastEnd = how
    this.#note(`ended: ${how}`)
    if (this.#stopping) return
    this.#inARow = ranMs >= stableMs ? 0 : this.#inARow + 1
    const waitMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.max(0, this.#inARow - 1))
    this.#timer = setTimeout(() => {
      this.#restarts += 1
      this.start()
    }, waitMs)
  }

  /** The signal is for the program alone, which may have its own way with what it started; the rest ends with it. */
  async stop(): Promise<Stopped> {
    const { signal, seconds } = this.spec.stop
    this.#stopping = true
    clearTimeout(this.#timer)
    if (!this.#child) return { killed: false }
    this.#child.kill(signal as NodeJS.Signals)
    const limit = new AbortController()
    const late = delay(seconds * 1000, 'late', { signal: limit.signal }).catch(() => 'in time')
    const killed = (await Promise.race([this.#ended, late])) === 'late'
    if (killed) {
      this.#note(`did not end within ${seconds} s and is killed`)
      this.#killGroup('SIGKILL')
      await this.#ended
    }
    limit.abort()
    return { killed }
  }

  #note(line: string) {
    this.#log.write({ slot: this.spec.slot, stream: 'supervisor', line })
  }

  #killGroup(signal: NodeJS.Signals) {
    if (this.#child?.pid !== undefined) killGroup(this.#child.pid, signal)
  }

  get processId(): ProcessId | null {
    const pid = this.#child?.pid
    const startTime = pid === undefined ? null : startTimeOf(pid)
    return pid === undefined || startTime === null ? null : { pid, startTime }
  }

  status(): InstanceStatus {
    return {
      slot: this.spec.slot,
      release: this.spec.release,
      state: this.#stopping ? 'stopping' : this.#child ? 'running' : 'backoff',
      pid: this.#child?.pid ?? null,
      restarts: this.#restarts,
      lastEnd: this.#lastEnd,
      upMs: this.#child ? performance.now() - this.#startedMs : 0,
    }
  }
}

/** Little from outside: what a service needs stands in its release, its environment or its host's file. */
function environmentOf({ env, sockets, service, slot, release, stop }: InstanceSpec): NodeJS.ProcessEnv {
  const path = `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'}`
  return {
    PATH: path,
    HOME: process.env['HOME'],
    LANG: process.env['LANG'] ?? 'C.UTF-8',
    ...env,
    DEPLOYCTL_SERVICE: service,
    DEPLOYCTL_SLOT: slot,
    DEPLOYCTL_RELEASE: release,
    DEPLOYCTL_STOP_SECONDS: String(stop.seconds),
    DEPLOYCTL_LONG_CONNECTIONS: stop.longConnections ?? serviceDefaults.longConnections,
    ...(sockets.length > 0 && {
      LISTEN_FDS: String(sockets.length),
      LISTEN_FDNAMES: sockets.map(({ name }) => name).join(':'),
    }),
  }
}

function killGroup(pid: number, signal: NodeJS.Signals) {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // It ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Field 22 of /proc/PID/stat, counted after the command's name, which may hold anything. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

/** Ends what a supervisor that died left running: its sockets are lost, and the new ones need the ports. */
export async function endLeftover({ pid, startTime }: ProcessId, graceMs: number): Promise<void> {
  if (startTimeOf(pid) !== startTime) return
  killGroup(pid, 'SIGTERM')
  for (let waited = 0; waited < graceMs && startTimeOf(pid) === startTime; waited += 50) await delay(50)
  if (startTimeOf(pid) === startTime) killGroup(pid, 'SIGKILL')
}
