import { existsSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import { showUnits } from '../manager/systemd/systemctl.ts'
import { link } from './link.ts'
import { mustRun, runSystem } from './run.ts'

const base = '/usr/lib/deployctl'
const unit = 'deploy-agent.service'
/** Less than the unit's watchdog time: the agent before is back within that. */
const startTimeoutMs = 15_000
const pollMs = 200

/**
 * Starts a version of the agent. One that ends, or is not ready in time, gives way to the version that is
 * known to work. Services run in units of their own and do not notice. If this process dies meanwhile,
 * the unit's own fallback does the same.
 * @throws DeployError E_AGENT_UPGRADE
 */
export async function switchAgent(version: string): Promise<'done'> {
  const target = `versions/${version}`
  const good = existsSync(join(base, 'good')) ? readlinkSync(join(base, 'good')) : null
  link(join(base, 'current'), target)
  const why = await restart()
  if (why === null) {
    if (good === null) link(join(base, 'good'), target)
    return 'done'
  }
  if (good === null || good === target) throw new Error(`the agent does not come up: ${why}`)
  link(join(base, 'current'), good)
  await restart()
  throw new DeployError('E_AGENT_UPGRADE', { version, previous: good.replace('versions/', ''), why })
}

/** Restarts it; null when it is ready, else what is wrong. */
async function restart(): Promise<string | null> {
  runSystem(['systemctl', 'reset-failed', unit])
  mustRun(['systemctl', 'restart', '--no-block', unit])
  const deadline = performance.now() + startTimeoutMs
  while (performance.now() < deadline) {
    await delay(pollMs)
    const [state] = await showUnits([unit])
    if (!state) return 'there is no such unit'
    if (state.active === 'active') return null
    if (state.active === 'failed' || state.restarts > 0 || state.sub === 'auto-restart') return lastWords()
  }
  return `it was not ready within ${startTimeoutMs / 1000} s`
}

/** What it said before it ended. */
function lastWords(): string {
  const { output } = runSystem(['journalctl', '--quiet', '--output=cat', '--lines=20', '--unit', unit])
  const lines = output
    .split('\n')
    .filter((line) => !/^(Started|Stopped|Starting|Stopping|deploy-agent\.service:)/.test(line))
  return lines.at(-1)?.trim() || 'it ended at once'
}

/** The version that runs proved itself: from now on it is the one to come back to. */
export function acceptAgent(): void {
  link(join(base, 'good'), readlinkSync(join(base, 'current')))
}
