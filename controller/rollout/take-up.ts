import { randomUUID } from 'node:crypto'
import { DeployError } from '../../shared/errors.ts'
import type { Target } from '../config/target.ts'
import type { RolloutCommand, RolloutRecord } from '../history/rollouts.ts'
import type { DeployOptions } from '../push/deploy-options.ts'
import type { Around } from './around.ts'
import { Driver, type Driven } from './driver.ts'

export type TakeUpOptions = Omit<DeployOptions, 'approvals'> & {
  /** Whether also from a driver that lives. */
  even: boolean
  around: Around
  onDriver?: (driving: Driver, driver: string) => void
}

/**
 * Drives a rollout that was begun before, from where it stands.
 * @throws DeployError E_ROLLOUT_TAKEN while somebody else does, and as Driver.run
 */
export async function takeUp(
  record: RolloutRecord,
  command: RolloutCommand | null,
  { even, around, onDriver, target, ...options }: TakeUpOptions,
): Promise<Driven> {
  const { rollouts } = options.history
  const { id } = record.rollout.plan
  const driver = randomUUID()
  if (!rollouts.take(id, driver, even)) throw new DeployError('E_ROLLOUT_TAKEN', { id: id.slice(0, 8) })
  // What its former driver did last is known only now.
  const known = rollouts.load(id) ?? record
  const driving = new Driver({
    ...options,
    record: known,
    driver,
    target: targetFor(known, target),
    approvals: known.details.approvals,
    ready: new Map(),
    keepsConnections: false,
    onState: (now) => around.onState(known, now),
  })
  onDriver?.(driving, driver)
  if (command) driving.command(command)
  try {
    const driven = await driving.run()
    await around.after(known, driven.rollout)
    return driven
  } finally {
    await around.flush()
  }
}

/** A rollout keeps the configuration and the rules with which it began. */
function targetFor({ rollout, details }: RolloutRecord, target: Target): Target {
  const { environment, confirmSeconds, rehearse, onUnreachable } = details
  const rule = { ...target.rollout, policy: rollout.plan.policy, rehearse, onUnreachable }
  return { ...target, environment, confirmSeconds, rollout: rule }
}
