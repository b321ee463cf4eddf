import { Manifest } from '../../shared/formats/manifest.ts'
import type { HookSpec } from '../../shared/formats/hooks.ts'
import { asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import type { Project } from '../config/load.ts'
import type { History } from '../history/history.ts'
import type { RolloutRecord } from '../history/rollouts.ts'
import { Notifier } from '../notify/notifier.ts'
import { runControllerHooks, type HookOptions } from './controller-hooks.ts'
import type { Rollout } from './machine.ts'

const manifestParser = parserOf(Manifest)

export type AroundOptions = {
  project: Project
  history: History
  env: NodeJS.ProcessEnv
  /** Told what a hook prints. */
  onLine: (command: string, line: string) => void
  /** Told what failed beside the rollout, which goes on. */
  onProblem: (text: string) => void
  /** Where people can look at a rollout; for notices. */
  linkOf?: (id: string) => string | null
}

/** What happens beside a rollout: the release's hooks on this side, and notices to others. */
export class Around {
  readonly #notifier: Notifier
  readonly #hooking: HookOptions
  readonly #options: AroundOptions

  constructor(options: AroundOptions) {
    const { project, env, onLine, onProblem, linkOf } = options
    this.#options = options
    const specs = project.config.notify ?? []
    this.#notifier = new Notifier({ specs, dir: project.dir, env, onProblem, linkOf })
    this.#hooking = { cwd: project.dir, env, onLine }
  }

  /** @throws DeployError E_HOOK_FAILED; nothing was begun then */
  before = (record: RolloutRecord, hooks: HookSpec | undefined): Promise<void> =>
    runControllerHooks(hooks, 'before', record, this.#hooking)

  onState = (record: RolloutRecord, rollout: Rollout): void => {
    const { what, environment } = record.details
    const { service, version, release } = what
    this.#notifier.tell(rollout, { service, version, release, environment: environment.name })
  }

  /** Where all went well. What fails here is told, and changes nothing. */
  after = async (record: RolloutRecord, rollout: Rollout): Promise<void> => {
    if (rollout.state === 'done') {
      const hooks = this.#hooksOf(record.details.what.release)
      await runControllerHooks(hooks, 'after', { ...record, rollout }, this.#hooking).catch(
        (error: unknown) => this.#options.onProblem(asDeployError(error).message),
      )
    }
    await this.flush()
  }

  /** Returns when everybody has been told, or cannot be. */
  flush = (): Promise<void> => this.#notifier.flush()

  #hooksOf(release: string): HookSpec | undefined {
    const kept = this.#options.history.manifest(release)
    const manifest = kept && (JSON.parse(kept.bytes.toString()) as unknown)
    return manifestParser.check(manifest) ? manifest.hooks : undefined
  }
}
