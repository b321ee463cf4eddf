import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

export type Finished = { status: number | null; stdout: string; stderr: string }

/** Runs a program to its end; a missing program is status null. Never a shell. */
export async function run(
  argv: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string; timeoutMs?: number } = {},
): Promise<Finished> {
  const [command = '', ...args] = argv
  const { input, timeoutMs: timeout, ...rest } = options
  const child = spawn(command, args, { ...rest, timeout, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', resolve)
  })
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { status, stdout, stderr }
}
