import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import type { Rollouts } from '../history/rollouts.ts'

const pollMs = 100

export type DetachOptions = {
  id: string
  /** Who drives it now. */
  driver: string
  cwd: string
  env: NodeJS.ProcessEnv
  /** Directory of the logs. */
  dataDir: string
  /** Of the command line: which environment, which key. */
  flags: readonly string[]
  rollouts: Rollouts
}

/**
 * Has another process of ours take the rollout over, one that no terminal holds. Returns once it has.
 * @throws DeployError E_DETACH_FAILED when it cannot, such as for a key that asks for its passphrase
 */
export async function driveInBackground({
  id,
  driver,
  cwd,
  env,
  dataDir,
  flags,
  rollouts,
}: DetachOptions): Promise<string> {
  const dir = join(dataDir, 'rollouts')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const log = join(dir, `${id}.log`)
  const file = openSync(log, 'a', 0o600)
  const argv = [...process.execArgv, process.argv[1] ?? '', 'rollout', 'attach', id, '--take', ...flags]
  const child = spawn(process.execPath, argv, { cwd, env, detached: true, stdio: ['ignore', file, file] })
  closeSync(file)
  let ended: number | null = null
  child.once('exit', (code) => (ended = code ?? -1))
  while (rollouts.beat(id, driver)) {
    if (ended !== null) {
      const why = readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' ')
      throw new DeployError('E_DETACH_FAILED', { id: id.slice(0, 8), why })
    }
    await delay(pollMs)
  }
  child.unref()
  return log
}
