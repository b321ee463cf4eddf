import { DeployError, asDeployError } from '../../shared/errors.ts'
import { controlSocket, privateSocket } from '../../shared/formats/sockets.ts'
import { obstacleToOverlap } from '../../shared/plan/planner.ts'
import type { ProbeAnswer } from '../health/probe.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import type { Health } from './health.ts'
import type { Specs } from './specs.ts'

/** Where a rehearsal takes place: the slot that the committed release does not run in. */
export const spareOf = ({ slot }: Pick<InstanceSpec, 'slot'>) => (slot === 'a' ? 'b' : 'a')

/**
 * Starts what the host would go back to, in the spare slot and without traffic, asks its probes and ends it
 * again. What runs is not touched.
 * @throws DeployError E_REHEARSAL
 */
export async function rehearse(
  service: string,
  { manager, specs, health }: { manager: ServiceManager; specs: Specs; health: Health },
  onAnswers: (answers: readonly ProbeAnswer[]) => void,
): Promise<void> {
  const committed = specs.active(service)
  if (!committed) return
  const refuse = (why: string, cause?: unknown) => new DeployError('E_REHEARSAL', { why }, { cause })
  const manifest = specs.manifest(committed.release)
  const side = { manifest, environment: null }
  const obstacle = obstacleToOverlap(side, side)
  if (obstacle !== null) throw refuse(obstacle)
  const own = privateSocket(committed.sockets)
  if (own === null) throw refuse('it has no private socket: it would answer real requests')
  const spare = { ...committed, slot: spareOf(committed) } as const
  try {
    await manager.start(spare, own.name === controlSocket)
    await health.await(spare, onAnswers, 'aside')
  } catch (error) {
    throw refuse(asDeployError(error).message, error)
  } finally {
    await manager.stop(service, spare.slot)
  }
}
