import { connect } from 'node:net'
import { asDeployError } from '../../shared/errors.ts'
import type { HealthSpec } from '../../shared/formats/service-spec.ts'
import { controlSocket, privateSocket, publicSockets, type SocketSpec } from '../../shared/formats/sockets.ts'
import type { ProbeAnswer, ProbeContext } from '../health/probe.ts'
import { watchHealth } from '../health/watch.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import { askInstance, connectThrough } from './control.ts'
import type { Specs } from './specs.ts'

const readinessTimeoutMs = 5_000
/** It has passed for healthy, and nobody else answers: whoever asks waits meanwhile. */
const aloneSeconds = 5

/** In words how it ended; null while it runs. */
type Ended = () => Promise<string | null>
type Options = { ended?: Ended; adjust?: (health: HealthSpec) => HealthSpec }

/** Whether a release that was started is well, by its manager and its probes. */
export class Health {
  readonly #manager: ServiceManager
  readonly #specs: Specs

  constructor(manager: ServiceManager, specs: Specs) {
    this.#manager = manager
    this.#specs = specs
  }

  /**
   * Returns when it has been healthy for its minimum time.
   * @param how `aside` while another release answers at the same addresses; `once` when it has just become
   *   alone, and one good round will do, soon
   * @param options how one knows that it has ended; what becomes of its own specification
   * @throws DeployError as watchHealth
   */
  await(
    spec: InstanceSpec,
    onAnswers: (answers: readonly ProbeAnswer[]) => void,
    how: 'alone' | 'aside' | 'once',
    { ended = () => this.howEnded(spec), adjust = (own) => own }: Options = {},
  ): Promise<void> {
    const aside = how === 'aside' ? this.#aside(spec) : {}
    const context = async (): Promise<ProbeContext> => {
      const { addresses } = await this.#manager.status(spec.service)
      const runCommand = (argv: readonly string[], signal: AbortSignal) =>
        this.#manager.runCommand(spec, argv, signal)
      return { addresses, runCommand, ...aside }
    }
    const own = adjust(this.#specs.manifest(spec.release).health)
    const health = how === 'once' ? { ...own, minHealthySeconds: 0, deadlineSeconds: aloneSeconds } : own
    return watchHealth({ health, context, ended, onAnswers })
  }

  /** Ways to this one instance, where it has a socket of its own. */
  #aside({ service, slot, sockets }: InstanceSpec): Pick<ProbeContext, 'connect' | 'readiness'> {
    const own = privateSocket(sockets)
    if (own === null) return {}
    const path = this.#manager.privateSocket(service, slot)
    if (own.name !== controlSocket) return { connect: () => connect(path) }
    const shared = publicSockets(sockets)
    const first = shared[0]?.name ?? ''
    return {
      connect: (socket = first) => connectThrough(path, socket),
      readiness: () => askReadiness(path, shared),
    }
  }

  /** How it ended since it was started, also when it was started again; null while it simply runs. */
  async howEnded({ service, release, slot }: InstanceSpec): Promise<string | null> {
    const { instances } = await this.#manager.status(service)
    const one = instances.find((instance) => instance.slot === slot && instance.release === release)
    if (!one) return 'it is gone'
    return one.restarts > 0 || one.state !== 'running' ? (one.lastEnd ?? one.state) : null
  }
}

/** Whether the program has a server for each of its sockets. */
async function askReadiness(path: string, sockets: readonly SocketSpec[]): Promise<ProbeAnswer> {
  const began = performance.now()
  const { ok, detail } = await askInstance(path, { do: 'status' }, readinessTimeoutMs).then(
    ({ ready }) => {
      const missing = sockets
        .filter(({ name }) => !ready.includes(name))
        .map(({ name, port = 0 }) => (port > 0 ? `${name} (port ${port})` : name))
      return { ok: missing.length === 0, detail: `it does not listen on ${missing.join(', ')} yet` }
    },
    (error: unknown) => ({ ok: false, detail: asDeployError(error).message }),
  )
  return { ok, detail: ok ? 'it listens' : detail, body: '', ms: performance.now() - began }
}
