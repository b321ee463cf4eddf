import { Manifest } from '../../shared/formats/manifest.ts'
import type { HookSpec } from '../../shared/formats/hooks.ts'
import { asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import type { CliContext } from '../cli/context.ts'
import type { Workspace } from '../cli/workspace.ts'
import type { RolloutRecord } from '../history/rollouts.ts'
import { Notifier } from '../notify/notifier.ts'
import { runControllerHooks, type HookOptions } from '../rollout/controller-hooks.ts'
import type { Rollout } from '../rollout/machine.ts'

const manifestParser = parserOf(Manifest)

/** What happens beside a rollout: the release's hooks on this side, and notices to others. */
export class Around {
  readonly #notifier: Notifier
  readonly #hooking: HookOptions
  readonly #out: CliContext['out']
  readonly #history: Workspace['history']

  constructor({ project, history }: Workspace, { env, out }: CliContext) {
    this.#out = out
    this.#history = history
    const onProblem = (text: string) => out.note(`  ${text}`)
    this.#notifier = new Notifier({ specs: project.config.notify ?? [], dir: project.dir, env, onProblem })
    const onLine = (command: string, line: string) => {
      out.note(`  ${command}: ${line}`)
      out.event({ type: 'hook', command, line })
    }
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
        (error: unknown) => this.#out.note(`  ${asDeployError(error).message}`),
      )
    }
    await this.#notifier.flush()
  }

  #hooksOf(release: string): HookSpec | undefined {
    const kept = this.#history.manifest(release)
    const manifest = kept && (JSON.parse(kept.bytes.toString()) as unknown)
    return manifestParser.check(manifest) ? manifest.hooks : undefined
  }
}
