import { execFile } from 'node:child_process'
import { DeployError } from '../../../shared/errors.ts'

export type Verb = 'start' | 'stop' | 'reset-failed'

/** A unit as `systemctl show` tells of it; times are microseconds of the boot's monotonic clock. */
export type UnitState = {
  active: string
  sub: string
  /** How it last ended: `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, … */
  result: string
  mainPid: number
  restarts: number
  /** `exited`, `killed`, `dumped` or empty, with its exit status or signal number. */
  exitCode: string
  exitStatus: number
  activeSinceUs: number
}

const properties =
  'ActiveState,SubState,Result,MainPID,NRestarts,ExecMainCode,ExecMainStatus,ActiveEnterTimestampMonotonic'
const maxBytes = 1024 * 1024
/** What the kernel calls CLD_EXITED and its like, as systemd prints it. */
const exitCodes: Record<string, string> = { 1: 'exited', 2: 'killed', 3: 'dumped' }

/**
 * Starts or stops units and waits for the job's end.
 * @throws DeployError E_UNIT with the unit's own result, not only the exit status
 */
export async function changeUnit(verb: Verb, unit: string): Promise<void> {
  const { status, stderr } = await systemctl([verb, '--no-ask-password', '--', unit])
  if (status === 0) return
  const [state] = await showUnits([unit])
  throw new DeployError('E_UNIT', { verb, unit, why: explain(state, stderr) })
}

function explain(state: UnitState | undefined, complaint: string): string {
  const said = complaint.trim().split('\n')[0] ?? ''
  if (!state || state.result === 'success') return said || 'its job was cancelled'
  return `${describeEnd(state)} (${said})`
}

/** How a unit ended, in words: `exit 1`, `SIGSEGV`-like signal numbers, or systemd's own reason. */
export function describeEnd({ result, exitCode, exitStatus }: UnitState): string {
  if (result === 'timeout') return 'it took too long'
  if (result === 'oom-kill') return 'out of memory'
  if (result === 'start-limit-hit') return 'it was started too often'
  if (exitCode === 'exited') return `exit ${exitStatus}`
  if (exitCode === 'killed' || exitCode === 'dumped') return `signal ${exitStatus}`
  return result
}

/** In the order asked for. */
export async function showUnits(units: readonly string[]): Promise<UnitState[]> {
  const { stdout, stderr, status } = await systemctl(['show', `--property=${properties}`, '--', ...units])
  if (status !== 0)
    throw new DeployError('E_UNIT', { verb: 'show', unit: units.join(' '), why: stderr.trim() })
  return stdout.split('\n\n').map(parseUnit)
}

/** @param text `Name=value` lines */
export function parseUnit(text: string): UnitState {
  const values = new Map(
    text.split('\n').map((line) => {
      const equals = line.indexOf('=')
      return [line.slice(0, equals), line.slice(equals + 1)] as const
    }),
  )
  const value = (name: string) => values.get(name) ?? ''
  return {
    active: value('ActiveState'),
    sub: value('SubState'),
    result: value('Result'),
    mainPid: Number(value('MainPID')),
    restarts: Number(value('NRestarts')),
    exitCode: exitCodes[value('ExecMainCode')] ?? '',
    exitStatus: Number(value('ExecMainStatus')),
    activeSinceUs: Number(value('ActiveEnterTimestampMonotonic')),
  }
}

function systemctl(args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, LC_ALL: 'C', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }
    execFile('systemctl', args, { env, maxBuffer: maxBytes }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ status, stdout, stderr: stderr || (error?.message ?? '') })
    })
  })
}
