import { spawn } from 'node:child_process'
import { mkdirSync, openSync, closeSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { DeployError, isErrorCode } from '../../../shared/errors.ts'
import { hasProgram } from '../find-program.ts'
import type { InstanceSpec, ServiceManager, ServiceStatus, Stopped } from '../manager.ts'
import { withHostValues } from './host-values.ts'
import { followLog, tailLog } from './log-reader.ts'
import { runCommand } from './run-command.ts'
import { supervisorPaths, type SupervisorAnswer, type SupervisorRequest } from './protocol.ts'

const startTimeoutMs = 10_000
const retryMs = 50

/**
 * The embedded manager as the agent sees it.
 * @param supervise command line of the supervisor, `deploy-agent supervise DIR`
 */
export function embeddedManager(dir: string, supervise: readonly string[]): ServiceManager {
  const paths = supervisorPaths(dir)
  const ask = async (request: SupervisorRequest): Promise<unknown> => {
    const answer = await exchange(paths.socket, request).catch(async (error: NodeJS.ErrnoException) => {
      // Nothing can have happened yet: there was nobody to talk to.
      if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED') throw gone(error)
      await startSupervisor(supervise, paths.ownLog, paths.socket)
      return exchange(paths.socket, request).catch((cause: unknown) => {
        throw gone(cause)
      })
    })
    if (answer.ok) return answer.value
    throw new DeployError(isErrorCode(answer.code) ? answer.code : 'E_SUPERVISOR', { why: answer.why })
  }
  mkdirSync(`${dir}/logs`, { recursive: true, mode: 0o750 })
  return {
    admit: () => {},
    check: (spec) => checkHere(withHostValues(dir, spec)),
    start: async (spec, isHeld = false) =>
      void (await ask({ do: 'start', spec: withHostValues(dir, spec), isHeld })),
    retarget: async (spec) => void (await ask({ do: 'retarget', spec: withHostValues(dir, spec) })),
    letTakeTraffic: async (service, slot) => void (await ask({ do: 'let', service, slot })),
    stop: async (service, slot) => (await ask({ do: 'stop', service, slot })) as Stopped,
    privateSocket: (service, slot) => paths.private(service, slot),
    status: async (service) => (await ask({ do: 'status', service })) as ServiceStatus,
    // The supervisor keeps what should run on disk by itself.
    settle: async () => {},
    checkUp: async () => [],
    runCommand: (spec, argv, signal, onLine) => runCommand(withHostValues(dir, spec), argv, signal, onLine),
    tail: async (service, lines) => tailLog(paths.log(service), lines),
    follow: (service, lines, signal) => followLog(paths.log(service), lines, signal),
  }
}

function checkHere({ needs, env, argv: [program = ''], cwd }: InstanceSpec) {
  const refuse = (why: string) => new DeployError('E_CHECK_FAILED', { why })
  const missing = needs.filter((name) => env[name] === undefined)
  if (missing.length > 0)
    throw refuse(`it needs values for ${missing.join(', ')} (environments.*.env, or the host's own file)`)
  const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`
  if (!hasProgram(program, cwd, path)) throw refuse(`there is no program "${program}"`)
}

/** Ends the supervisor and with it all services; for tests, demonstrations and removing a host. */
export async function endSupervisor(dir: string): Promise<void> {
  await exchange(supervisorPaths(dir).socket, { do: 'end' }).catch(() => {})
}

const gone = (cause: unknown) =>
  new DeployError('E_SUPERVISOR', { why: cause instanceof Error ? cause.message : String(cause) }, { cause })

async function exchange(path: string, request: SupervisorRequest): Promise<SupervisorAnswer> {
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.write(`${JSON.stringify(request)}\n`)
  const reply = await text(socket)
  if (!reply.endsWith('\n')) throw new Error('it ended before it answered')
  // From our own supervisor, over a socket only we can open.
  return JSON.parse(reply) as SupervisorAnswer
}

/** Starts it so that it stays when this process ends, and waits until it answers. */
async function startSupervisor([command = '', ...args]: readonly string[], log: string, socket: string) {
  const output = openSync(log, 'a', 0o640)
  const child = spawn(command, args, { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  child.unref()
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) => reject(gone(cause)))
    child.once('exit', (code) => reject(gone(new Error(`it ended with ${code}; see ${log}`))))
  })
  failed.catch(() => {})
  const deadline = performance.now() + startTimeoutMs
  while (performance.now() < deadline) {
    const up = new Promise<boolean>((resolve) => {
      const probe = connect(socket, () => {
        probe.destroy()
        resolve(true)
      })
      probe.once('error', () => resolve(false))
    })
    if (await Promise.race([up, failed])) return
    await Promise.race([delay(retryMs), failed])
  }
  throw gone(new Error(`it did not start within ${startTimeoutMs / 1000} s; see ${log}`))
}
