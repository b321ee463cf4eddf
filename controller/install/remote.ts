import { DeployError, isErrorCode, type ErrorFacts } from '../../shared/errors.ts'
import { parseFacts, type HostFacts } from '../../shared/install/facts.ts'
import { controllerUnitPath } from '../../shared/install/plan-controller.ts'
import { hostPathsLookedAt } from '../../shared/install/plan-host.ts'
import { serviceFilePaths } from '../../shared/install/plan-service.ts'
import { describeStep, stepEventParser, type Step, type StepEvent } from '../../shared/install/steps.ts'
import { lookScript } from '../../shared/install/templates.ts'
import type { Finished } from '../process.ts'
import type { AdminShell } from './admin-shell.ts'
import { readArchive, type AgentPackage } from './agent-package.ts'

const base = '/usr/lib/deployctl'
/** Whole or not at all: a directory gets its name when everything is in it. */
const unpack = `set -eu
umask 022
dir=${base}/versions/$1
rm -rf "$dir.new" "$dir"
mkdir -p "$dir.new"
tar -xzf - -C "$dir.new" --no-same-owner
: >"$dir.new/complete"
sync -f "$dir.new"
mv -T "$dir.new" "$dir"`

/** What a host is like; nothing is changed. */
export async function lookAt(
  shell: AdminShell,
  host: string,
  services: readonly string[],
): Promise<HostFacts> {
  const paths = [
    ...hostPathsLookedAt,
    controllerUnitPath,
    ...services.flatMap((name) => Object.values(serviceFilePaths(name))),
  ]
  const { status, stdout, stderr } = await shell.run(['sh', '-s', '--', ...paths], { input: lookScript() })
  if (status !== 0)
    throw new DeployError('E_SSH_EXEC', { host, why: stderr.trim() || `sh ended with ${status}` })
  return parseFacts(stdout)
}

/** Brings an agent's files to the host. Nothing is started. */
export async function sendAgent(
  shell: AdminShell,
  host: string,
  agent: AgentPackage,
  onSent: (bytes: number) => void,
): Promise<void> {
  const ran = await shell.run(['sh', '-c', unpack, 'sh', agent.id], {
    input: await readArchive(agent),
    onSent,
  })
  if (ran.status !== 0) throw stepError(host, `unpack the agent under ${base}`, ran)
}

/**
 * Does the steps as root, with the agent's own Node.
 * @param onStep told of each one's result as it comes
 * @throws DeployError E_SETUP_STEP
 */
export async function carryOut(
  shell: AdminShell,
  host: string,
  version: string,
  steps: readonly Step[],
  onStep: (step: Step, result: string) => void,
): Promise<void> {
  let rest = ''
  const onOutput = (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event: unknown = line.startsWith('{') ? JSON.parse(line) : null
      const step = stepEventParser.check(event) ? steps[event.n] : undefined
      if (!step || !stepEventParser.check(event)) continue
      onStep(step, event.result)
      if (event.result === 'failed') throw stepFailure(host, step, event)
    }
  }
  let failure: unknown = null
  const ran = await shell.run(deployHost(version, 'apply'), {
    input: JSON.stringify({ steps }),
    onOutput: (chunk) => {
      try {
        onOutput(chunk)
      } catch (error) {
        failure = error
      }
    },
  })
  if (failure) throw failure
  if (ran.status !== 0) throw stepError(host, 'carry out the plan', ran)
}

/** From now on this version is the one to come back to. */
export async function acceptVersion(shell: AdminShell, host: string, version: string): Promise<void> {
  const ran = await shell.run(deployHost(version, 'accept'))
  if (ran.status !== 0) throw stepError(host, 'keep the new agent', ran)
}

function stepFailure(host: string, step: Step, { detail, error }: StepEvent): DeployError {
  if (error && isErrorCode(error.code))
    return new DeployError(error.code, { host, ...(error.facts as ErrorFacts) })
  return new DeployError('E_SETUP_STEP', { host, step: describeStep(step), why: detail })
}

function deployHost(version: string, command: string): string[] {
  const dir = `${base}/versions/${version}`
  return [`${dir}/bin/node`, `${dir}/dist/deploy-host.js`, command]
}

function stepError(host: string, step: string, { status, stderr }: Finished): DeployError {
  const why = stderr.trim().split('\n').at(-1) || `it ended with ${status ?? 'the connection'}`
  return new DeployError('E_SETUP_STEP', { host, step, why })
}
