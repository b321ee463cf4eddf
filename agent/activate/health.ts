import type { ProbeAnswer, ProbeContext } from '../health/probe.ts'
import { watchHealth } from '../health/watch.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import type { Specs } from './specs.ts'

/** Whether a release that was started is well, by its manager and its probes. */
export class Health {
  readonly #manager: ServiceManager
  readonly #specs: Specs

  constructor(manager: ServiceManager, specs: Specs) {
    this.#manager = manager
    this.#specs = specs
  }

  /** Returns when it has been healthy for its minimum time. @throws DeployError as watchHealth */
  await(spec: InstanceSpec, onAnswers: (answers: readonly ProbeAnswer[]) => void): Promise<void> {
    const context = async (): Promise<ProbeContext> => {
      const { addresses } = await this.#manager.status(spec.service)
      return { addresses, runCommand: (argv, signal) => this.#manager.runCommand(spec, argv, signal) }
    }
    const { health } = this.#specs.manifest(spec.release)
    return watchHealth({ health, context, ended: () => this.howEnded(spec), onAnswers })
  }

  /** How it ended since it was started, also when it was started again; null while it simply runs. */
  async howEnded({ service, release }: InstanceSpec): Promise<string | null> {
    const { instances } = await this.#manager.status(service)
    const one = instances.find((instance) => instance.release === release)
    if (!one) return 'it is gone'
    return one.restarts > 0 || one.state !== 'running' ? (one.lastEnd ?? one.state) : null
  }
}
