import { basename } from 'node:path'
import type { ErrorCode } from '../../shared/error-catalogue.ts'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { transformedPath } from '../../shared/formats/modules.ts'
import { serviceDefaults, type HealthSpec } from '../../shared/formats/service-spec.ts'
import type { SwapPlan } from '../../shared/plan/swap.ts'
import type { Fault, HotStatus, SwapAnswer, SwapRequest } from '../../shared/wire/control.ts'
import type { CodeReport } from '../../shared/wire/api.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import type { Activation, Watching } from './activation.ts'
import { askInstance, askSwap } from './control.ts'
import type { Health } from './health.ts'
import { obstacleInProcess } from './process-obstacle.decide.ts'
import type { Specs } from './specs.ts'

const statusTimeoutMs = 5_000
/** Longer than the library itself waits for a program's code. */
const stepTimeoutMs = 120_000
const disposed = 'the state is that of the moment of the swap: what the new code did to it is lost'

/** Exchanges the code of the program that runs. It stays in its slot: nothing else starts or ends. */
export class HotActivation {
  readonly #manager: ServiceManager
  readonly #journal: Journal
  readonly #specs: Specs
  readonly #health: Health
  readonly #processes: Activation

  constructor(
    manager: ServiceManager,
    journal: Journal,
    specs: Specs,
    health: Health,
    processes: Activation,
  ) {
    this.#manager = manager
    this.#journal = journal
    this.#specs = specs
    this.#health = health
    this.#processes = processes
  }

  /** What the program says that it runs; null when it does not answer, or is none that can exchange code. */
  async status(spec: InstanceSpec): Promise<HotStatus | null> {
    const path = this.#manager.privateSocket(spec.service, spec.slot)
    const status = await askInstance(path, { do: 'status' }, statusTimeoutMs).catch(() => null)
    return status?.hot ?? null
  }

  /** Holds what the program says that it has loaded against the release. */
  async attest(spec: InstanceSpec): Promise<CodeReport['code']> {
    const status = await this.status(spec)
    if (!status) return null
    const { release, generation, pinned } = status
    const { modules = [] } = await this.#ask(spec, { do: 'modules' }, 'E_SERVICE_CONTROL')
    const digestOf = this.#digestsOf(spec.release)
    const differing = modules.filter(([path, sha256]) => digestOf(path) !== sha256).map(([path]) => path)
    return { release, generation, modules: modules.length, differing, pinned }
  }

  /** sha256 of what the program reads of a module of that release. */
  #digestsOf(release: string): (path: string) => string {
    const { files } = this.#specs.manifest(release)
    const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]))
    return (path) => digests.get(transformedPath(path)) ?? digests.get(path) ?? ''
  }

  /** Why the running program cannot take in a release; null when it can. */
  async obstacle(service: string): Promise<string | null> {
    const active = this.#specs.active(service)
    if (!active) return 'nothing runs there yet'
    const obstacle = obstacleInProcess(await this.status(active), active.release)
    if (obstacle?.isCurable !== true) return obstacle?.why ?? null
    // What nobody holds may only not have been collected yet.
    await this.#ask(active, { do: 'collect' }, 'E_SERVICE_CONTROL').catch(() => {})
    return obstacleInProcess(await this.status(active), active.release)?.why ?? null
  }

  /** The new code is loaded and evaluated beside the old one, which does not notice. @throws DeployError E_SWAP_PREPARE */
  async prepare(entry: Entry, { evaluate, forget }: SwapPlan): Promise<void> {
    const next = this.#specs.next(entry)
    const digestOf = this.#digestsOf(entry.release)
    const modules = evaluate.map((path): [string, string] => [path, digestOf(path)])
    const { release, cwd: root } = next
    await this.#ask(next, { do: 'prepare', release, root, evaluate: modules, forget }, 'E_SWAP_PREPARE')
  }

  /** Forgets what was prepared, if anything was. */
  async abandon(entry: Entry): Promise<void> {
    await this.#ask(this.#specs.next(entry), { do: 'abort' }, 'E_SERVICE_CONTROL').catch(() => {})
  }

  /** @throws DeployError E_SWAP_COMMIT; then the old code goes on */
  async start(entry: Entry): Promise<void> {
    await this.#ask(this.#specs.next(entry), { do: 'commit', release: entry.release }, 'E_SWAP_COMMIT')
  }

  async prove(entry: Entry, { onAnswers }: Watching): Promise<void> {
    const ended = () => this.howEnded(entry)
    await this.#health.await(this.#specs.next(entry), onAnswers, 'alone', { ended, adjust: sooner })
  }

  /** From here on a crash comes back with the new code; and the old one is disposed of. */
  async drain(entry: Entry, { onProblems }: Watching): Promise<void> {
    const next = this.#specs.next(entry)
    await this.#manager.retarget(next)
    const answer = await this.#ask(next, { do: 'confirm', release: entry.release }, 'E_SERVICE_CONTROL')
    onProblems(
      (answer.problems ?? []).map((fault) => `the old code, when it was put away: ${wordsOf(fault)}`),
    )
    const roots = (await this.status(next))?.roots ?? []
    this.#journal.noteInUse(
      entry.service,
      roots.map((root) => basename(root)),
    )
  }

  /** The old code again in the same process; in a new one where that cannot be. */
  async goBack(entry: Entry, watching: Watching): Promise<void> {
    const before = this.#specs.active(entry.service)
    if (!before) return this.#processes.goBack(entry, 'restart', watching)
    await this.#manager.retarget(before)
    const status = await this.status(before)
    const rollback = { do: 'rollback', release: entry.release } as const
    const answer = status && (await this.#ask(before, rollback, 'E_SWAP_COMMIT').catch(() => null))
    if (answer?.state === 'as before the swap') watching.onProblems([disposed])
    if (answer === null) await this.#startAnew(before)
    await this.#health.await(before, watching.onAnswers, 'alone', {
      ended: () => (answer === null ? this.#health.howEnded(before) : this.#howItLeft(before)),
      // One that was started again, by us or by its manager, has the time that a start has.
      ...(answer !== null && answer.state !== 'untouched' && { adjust: sooner }),
    })
  }

  /** The program took another way than back, or does not answer: its slot is started again. */
  async #startAnew(before: InstanceSpec) {
    await this.#manager.stop(before.service, before.slot)
    await this.#manager.start(before)
  }

  /** Whether the program still runs this release; in words how it does not. */
  howEnded(entry: Entry): Promise<string | null> {
    return this.#howItLeft(this.#specs.next(entry))
  }

  async #howItLeft(spec: InstanceSpec): Promise<string | null> {
    const status = await this.status(spec)
    if (status?.release === spec.release) return null
    if (status !== null) return 'it was started again, with the code before'
    const { instances } = await this.#manager.status(spec.service)
    const one = instances.find(({ slot }) => slot === spec.slot)
    return one ? (one.lastEnd ?? 'it does not answer') : 'it is gone'
  }

  async #ask(
    spec: InstanceSpec,
    request: SwapRequest,
    code: ErrorCode,
  ): Promise<Extract<SwapAnswer, { ok: true }>> {
    const path = this.#manager.privateSocket(spec.service, spec.slot)
    const answer = await askSwap(path, request, stepTimeoutMs).catch((error: unknown) => {
      throw new DeployError(
        code,
        { where: '', why: String(asDeployError(error).facts['why']) },
        { cause: error },
      )
    })
    if (answer.ok) return answer
    const { module, line, message } = answer.fault
    throw new DeployError(code, { where: placeOf({ module, line }), why: message })
  }
}

/** The process is warm, and clients are answered by what is tried: what is sick shows at once, and must go soon. */
const sooner = (health: HealthSpec): HealthSpec => ({
  minHealthySeconds: serviceDefaults.hotMinHealthySeconds,
  ...health,
  deadlineSeconds: Math.min(
    health.deadlineSeconds ?? serviceDefaults.deadlineSeconds,
    serviceDefaults.hotDeadlineSeconds,
  ),
})

const placeOf = ({ module, line }: Pick<Fault, 'module' | 'line'>) =>
  module === null ? '' : `${module}${line === null ? '' : `:${line}`}: `

const wordsOf = (fault: Fault) => placeOf(fault) + fault.message
