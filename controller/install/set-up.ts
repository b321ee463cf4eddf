import { DeployError } from '../../shared/errors.ts'
import type { HostFacts } from '../../shared/install/facts.ts'
import type { Problem } from '../../shared/install/managed-files.ts'
import { describeStep, type Step } from '../../shared/install/steps.ts'
import { askSudoPassword, askYes, isInteractive } from '../cli/ask.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { hostTarget, type HostTarget } from '../config/target.ts'
import type { ConnectOptions } from '../transport/connect.ts'
import { AdminShell } from './admin-shell.ts'
import type { AgentPackage } from './agent-package.ts'
import { carryOut, sendAgent } from './remote.ts'

/** What is to be done on one host, before anybody has agreed to it. */
export type SetUpPlan = {
  host: string
  facts: HostFacts
  /** Files to bring first; null when they are there. */
  agent: AgentPackage | null
  steps: readonly Step[]
  problems: readonly Problem[]
}

/** The same machine, logged in to as an administrator instead of as deployctl. */
export function administrator(target: HostTarget, parsed: Parsed): HostTarget {
  return { ...target, user: text(parsed, 'as') ?? (target.user === 'deployctl' ? '' : target.user) }
}

/** A host by `[user@]host[:port]`, where the user is an administrator. */
export const administratorAt = (name: string, address: string, parsed: Parsed): HostTarget =>
  administrator(hostTarget(name, address, ''), parsed)

export function openShell(
  target: HostTarget,
  options: ConnectOptions,
  context: CliContext,
): Promise<AdminShell> {
  const isAsking = isInteractive() && !context.out.json
  return AdminShell.open(target, options, {
    password: context.env['DEPLOYCTL_SUDO_PASSWORD'],
    askPassword: isAsking ? askSudoPassword : undefined,
  })
}

/**
 * Shows a plan, asks, and carries it out.
 * @returns whether anything had to be done, and was
 * @throws DeployError E_HOST_UNFIT, E_NOT_CONFIRMED, E_SETUP_STEP
 */
export async function settlePlan(
  plan: SetUpPlan,
  shell: AdminShell,
  version: string,
  parsed: Parsed,
  context: CliContext,
): Promise<boolean> {
  const { out } = context
  const { host, facts, agent, steps, problems } = plan
  out.line(`${host}: ${facts.os}, ${facts.arch}${facts.systemd === null ? '' : `, systemd ${facts.systemd}`}`)
  out.event({ type: 'plan', host, version, sends: agent?.bytes ?? 0, steps, problems })
  if (problems.length > 0) {
    for (const { what, remedy } of problems) out.line(`  ✘ ${what}\n      ${remedy}`)
    throw new DeployError('E_HOST_UNFIT', { host, problems: problems.map(({ what }) => what).join('; ') })
  }
  if (steps.length === 0 && agent === null) {
    out.line('  everything is as it should be')
    return false
  }
  show(plan, version, parsed.flags['dryRun'] === true, context)
  if (parsed.flags['dryRun'] === true) return false
  await agree(host, parsed, context)
  if (agent) await send(shell, host, agent, context)
  await carryOut(shell, host, version, steps, (step, result) => {
    out.event({ type: 'step', host, step: describeStep(step), result })
    out.note(`${result === 'done' ? '✔' : result === 'unchanged' ? '·' : '✘'} ${describeStep(step)}`)
  })
  return true
}

function show({ agent, steps }: SetUpPlan, version: string, isWhole: boolean, { out }: CliContext) {
  if (agent)
    out.line(
      `  send agent ${version} (${megabytes(agent.bytes)} MB) to /usr/lib/deployctl/versions/${version}`,
    )
  for (const step of steps) {
    out.line(`  ${describeStep(step)}`)
    if (isWhole && 'content' in step) out.line(indent(step.content))
  }
  if (!isWhole) out.line('  (--dry-run prints the files whole)')
}

const indent = (content: string) =>
  content
    .trimEnd()
    .split('\n')
    .map((line) => `      │ ${line}`)
    .join('\n')

async function agree(host: string, parsed: Parsed, { out }: CliContext) {
  if (parsed.flags['yes'] === true) return
  const isAsking = isInteractive() && !out.json
  if (isAsking && (await askYes(`Do this on ${host}, as root?`))) return
  throw new DeployError('E_NOT_CONFIRMED', { what: `setting up ${host}`, flag: '--yes' })
}

const megabytes = (bytes: number) => Math.round(bytes / 1_000_000)

async function send(shell: AdminShell, host: string, agent: AgentPackage, { out }: CliContext) {
  let shown = 0
  await sendAgent(shell, host, agent, (bytes) => {
    const quarter = Math.floor((bytes / agent.bytes) * 4)
    if (quarter === shown) return
    shown = quarter
    out.event({ type: 'sending', host, bytes, of: agent.bytes })
    out.note(`  sent ${megabytes(bytes)} of ${megabytes(agent.bytes)} MB`)
  })
}
