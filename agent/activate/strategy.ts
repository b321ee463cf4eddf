import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'

/**
 * How a service gets from one release to another. Hot swap and handover stand beside `restart` with the
 * same interface: to go back is to switch to what ran before.
 */
export type ActivationStrategy = {
  /** Afterwards exactly `target` runs, or nothing when it is null. Can be repeated at any point. */
  switchTo(manager: ServiceManager, service: string, target: InstanceSpec | null): Promise<void>
}

/** The old instance ends, then the new one starts; the sockets stay open in between. */
export const restart: ActivationStrategy = {
  async switchTo(manager, service, target) {
    const { instances } = await manager.status(service)
    for (const { slot, release } of instances)
      if (target === null || slot !== target.slot || release !== target.release)
        await manager.stop(service, slot)
    if (target) await manager.start(target)
  },
}
