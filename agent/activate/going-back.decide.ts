import type { InstanceSpec, InstanceStatus, Slot } from '../manager/manager.ts'

/**
 * Where the release of before is to run when a deployment is undone: where it still runs; in the other
 * slot when its own still drains, since nobody would answer until that has ended; else in its own.
 * `untouched`: it never stopped answering, so that nothing has to be started or waited for.
 */
export function whereToGoBack(
  before: InstanceSpec,
  instances: readonly InstanceStatus[],
): { slot: Slot; untouched: boolean } {
  const at = (slot: Slot) => instances.find((instance) => instance.slot === slot)
  const other: Slot = before.slot === 'a' ? 'b' : 'a'
  const own = at(before.slot)
  if (own?.state === 'running' && own.release === before.release)
    return { slot: before.slot, untouched: true }
  const isDraining = own?.state === 'stopping'
  return { slot: isDraining ? other : before.slot, untouched: false }
}
