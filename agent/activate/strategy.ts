import type { InstanceSpec, ServiceManager, Slot, Stopped } from '../manager/manager.ts'

/** Ends one instance; whoever calls may want to know how. */
export type End = (service: string, slot: Slot) => Promise<Stopped>

/**
 * How a service gets from one release to another. Whatever ran before is ended at the latest when the new
 * one has proved itself (`endOthers`); to go back is to bring what ran before.
 */
export type ActivationStrategy = {
  /** Whether the old instance answers while the new one is tried. */
  readonly isSideBySide: boolean
  /** Afterwards `target` runs. Can be repeated at any point. */
  bring(manager: ServiceManager, target: InstanceSpec, isHeld: boolean, end: End): Promise<void>
}

/** The old instance ends, then the new one starts; the sockets stay open in between. */
export const restart: ActivationStrategy = {
  isSideBySide: false,
  async bring(manager, target, _isHeld, end) {
    await endOthers(manager, target.service, target, end)
    await manager.start(target)
  },
}

/** The new instance starts beside the old one, with the same sockets; the old one ends later. */
export const handover: ActivationStrategy = {
  isSideBySide: true,
  bring: (manager, target, isHeld) => manager.start(target, isHeld),
}

/** Afterwards nothing but `target` runs; nothing at all when it is null. */
export async function endOthers(
  manager: ServiceManager,
  service: string,
  target: InstanceSpec | null,
  end: End,
): Promise<void> {
  const { instances } = await manager.status(service)
  const others = instances.filter(
    ({ slot, release }) => target === null || slot !== target.slot || release !== target.release,
  )
  await Promise.all(others.map(({ slot }) => end(service, slot)))
}
