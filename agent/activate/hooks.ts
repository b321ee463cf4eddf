import { DeployError, asDeployError } from '../../shared/errors.ts'
import { hookDefaults, type Hook } from '../../shared/formats/hooks.ts'
import type { Strategy } from '../../shared/formats/receipt.ts'
import type { Entry } from '../journal/rows.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import type { Specs } from './specs.ts'

type Parts = { manager: ServiceManager; specs: Specs }
type Tell = (type: string, data: Record<string, unknown>) => void

/**
 * Before anything is switched: the first program that fails stops the deployment.
 * @throws DeployError E_HOOK_FAILED
 */
export async function runBeforeHooks(
  entry: Entry,
  strategy: Strategy,
  parts: Parts,
  tell: Tell,
): Promise<void> {
  await runHooks('before', entry, strategy, parts, tell)
}

/** It is confirmed and will be committed, whatever they say. @returns what went wrong, in words */
export async function runAfterHooks(
  entry: Entry,
  strategy: Strategy,
  parts: Parts,
  tell: Tell,
): Promise<string[]> {
  try {
    await runHooks('after', entry, strategy, parts, tell)
    return []
  } catch (error) {
    const { message } = asDeployError(error)
    tell('hook-failed', { message })
    return [message.slice(0, maxReasonChars)]
  }
}

const maxReasonChars = 500

async function runHooks(
  when: 'before' | 'after',
  entry: Entry,
  strategy: Strategy,
  { manager, specs }: Parts,
  tell: Tell,
) {
  const { hooks, version } = specs.manifest(entry.release)
  const spec = specs.next(entry)
  const env = { ...spec.env, ...factsOf(entry, strategy, version), DEPLOYCTL_HOOK: when }
  for (const hook of hooks?.host?.[when] ?? []) await runHook(hook, when, { ...spec, env }, manager, tell)
}

async function runHook(
  { run, timeoutSeconds = hookDefaults.timeoutSeconds }: Hook,
  when: 'before' | 'after',
  spec: InstanceSpec,
  manager: ServiceManager,
  tell: Tell,
) {
  const command = run.join(' ')
  const signal = AbortSignal.timeout(timeoutSeconds * 1000)
  const refuse = (why: string) => new DeployError('E_HOOK_FAILED', { when, command, why })
  const onLine = (line: string) => tell('hook', { when, command, line })
  const { status } = await manager.runCommand(spec, run, signal, onLine).catch((error: unknown) => {
    throw refuse(error instanceof Error ? error.message : String(error))
  })
  if (signal.aborted) throw refuse(`it was ended after ${timeoutSeconds} s`)
  if (status !== '0') throw refuse(`it ended with ${status}`)
}

/** What a hook is told besides what the service is told; docs/rollouts.md lists it. */
const factsOf = ({ opId, action, environment, prev, who }: Entry, strategy: Strategy, version: string) => ({
  DEPLOYCTL_OPERATION: opId,
  DEPLOYCTL_ACTION: action,
  DEPLOYCTL_VERSION: version,
  DEPLOYCTL_ENVIRONMENT: environment.name,
  DEPLOYCTL_PREVIOUS_RELEASE: prev ?? '',
  DEPLOYCTL_STRATEGY: strategy,
  DEPLOYCTL_WHO: who,
})
