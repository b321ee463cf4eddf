import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { CommandResult, InstanceSpec } from '../manager.ts'

const shownChars = 512
const maxLineChars = 4096

/** Runs a program with a service's directory and environment, in a process group of its own. */
export async function runCommand(
  { cwd, env, service, slot, release }: InstanceSpec,
  argv: readonly string[],
  signal: AbortSignal,
  onLine?: (line: string) => void,
): Promise<CommandResult> {
  const [command = '', ...args] = argv
  // A group of its own, so that what the command started ends with it.
  const child = spawn(command, args, {
    cwd,
    env: {
      PATH: process.env['PATH'],
      ...env,
      DEPLOYCTL_SERVICE: service,
      DEPLOYCTL_SLOT: slot,
      DEPLOYCTL_RELEASE: release,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const kill = () => child.pid !== undefined && killGroup(child.pid)
  signal.addEventListener('abort', kill)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output = (output + chunk).slice(-shownChars)))
    if (onLine) createInterface({ input: stream }).on('line', (line) => onLine(line.slice(0, maxLineChars)))
  }
  try {
    const status = await new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, killed) => resolve(killed ?? String(code)))
    })
    return { status, output }
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function killGroup(pid: number) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // It ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
