import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { DeployError } from '../../shared/errors.ts'
import { hookDefaults, type Hook, type HookSpec } from '../../shared/formats/hooks.ts'
import type { RolloutRecord } from '../history/rollouts.ts'

export type HookOptions = {
  /** Directory of deploy.yaml. */
  cwd: string
  env: NodeJS.ProcessEnv
  onLine: (command: string, line: string) => void
}

/**
 * Runs the programs that a signed release names for the side of whoever pushes, until one fails.
 * @throws DeployError E_HOOK_FAILED
 */
export async function runControllerHooks(
  hooks: HookSpec | undefined,
  when: 'before' | 'after',
  { rollout, details }: RolloutRecord,
  options: HookOptions,
): Promise<void> {
  const { what, environment } = details
  const facts = {
    DEPLOYCTL_HOOK: when,
    DEPLOYCTL_SERVICE: what.service,
    DEPLOYCTL_RELEASE: what.release,
    DEPLOYCTL_VERSION: what.version,
    DEPLOYCTL_ENVIRONMENT: environment.name,
    DEPLOYCTL_ROLLOUT: rollout.plan.id,
    DEPLOYCTL_HOSTS: rollout.plan.batches.flat().join(' '),
    DEPLOYCTL_RESULT: when === 'after' ? rollout.state : '',
  }
  for (const hook of hooks?.controller?.[when] ?? [])
    await runHook(hook, when, { ...options, env: { ...options.env, ...facts } })
}

async function runHook(
  { run, timeoutSeconds = hookDefaults.timeoutSeconds }: Hook,
  when: string,
  { cwd, env, onLine }: HookOptions,
) {
  const [program = '', ...args] = run
  const command = run.join(' ')
  // A group of its own, so that what it started ends with it.
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => onLine(command, line))
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, timeoutSeconds * 1000)
  const status = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(signal ?? String(code)))
  }).finally(() => clearTimeout(timer))
  const why = isLate ? `it was ended after ${timeoutSeconds} s` : `it ended with ${status}`
  if (isLate || status !== '0') throw new DeployError('E_HOOK_FAILED', { when, command, why })
}
