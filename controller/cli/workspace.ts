import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { readInventory } from '../config/inventory.ts'
import { loadProject, type Project } from '../config/load.ts'
import type { RolloutConfig } from '../config/rollout-schema.ts'
import { parseSelector } from '../config/selector.decide.ts'
import { chooseEnvironment, resolveTarget, type Target } from '../config/target.ts'
import { History } from '../history/history.ts'
import { differencesOf } from '../identity/describe-root.ts'
import { openFleet, openSigner, type Fleet, type KeyOptions } from '../identity/fleet.ts'
import type { SessionOptions } from '../push/session.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { askPassphrase, interactiveAsking, isInteractive } from './ask.ts'
import { text, type Flag, type Parsed } from './command.ts'
import type { CliContext } from './context.ts'

export const environmentFlag: Flag = {
  flag: '-e, --env <name>',
  summary: 'environment; the only one when left out',
}
export const hostFlag: Flag = { flag: '--host <names>', summary: 'only these hosts, separated by commas' }
export const onFlag: Flag = {
  flag: '--on <labels>',
  summary: 'only hosts with these labels: zone=eu,role=web',
}
export const keyFlag: Flag = {
  flag: '--key <file>',
  summary: 'signing key; a .pub file means its half in ssh-agent',
}
export const hostKeyFlag: Flag = {
  flag: '--host-key <fingerprint>',
  summary: 'accept this host key where none is known yet (for CI)',
}

/** What most commands need: the project, the hosts, the fleet, the history. */
export type Workspace = {
  project: Project
  target: Target
  fleet: Fleet
  history: History
  sessions: SessionOptions
}

/** @param rollout what the command line says of it, before deploy.yaml */
export async function openWorkspace(
  parsed: Parsed,
  context: CliContext,
  rollout?: RolloutConfig,
): Promise<Workspace> {
  const project = await loadProject(context.cwd)
  const target = await targetOf(project, parsed, context, rollout)
  const fleet = openFleet(context.configDir)
  const history = openHistory(context)
  return { project, target, fleet, history, sessions: sessionOptions(parsed, context, fleet, history) }
}

/** The environment that is meant, with the hosts that are meant. @throws DeployError E_INVENTORY, and as resolveTarget */
export async function targetOf(
  project: Project,
  parsed: Pick<Parsed, 'flags'>,
  { env }: Pick<CliContext, 'env'>,
  rollout?: RolloutConfig,
): Promise<Target> {
  const name = chooseEnvironment(project.config, text(parsed, 'env'))
  const on = text(parsed, 'on')
  return resolveTarget(project.config, name, {
    only: text(parsed, 'host')?.split(',').filter(Boolean),
    on: on === undefined ? [] : parseSelector(on),
    rollout,
    inventory: await readInventory(project, name, env),
  })
}

/** One host, wherever it is listed. @throws DeployError E_HOST_UNKNOWN, and as targetOf */
export const targetAt = (project: Project, { flags }: Parsed, name: string, context: CliContext) =>
  targetOf(project, { flags: { env: flags['env'], host: name } }, context)

export function openHistory({ dataDir }: CliContext): History {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  return new History(join(dataDir, 'history.sqlite'))
}

export function sessionOptions(
  parsed: Parsed,
  context: CliContext,
  fleet: Fleet,
  history: History,
): SessionOptions {
  return {
    configDir: context.configDir,
    env: context.env,
    asking: context.out.json ? {} : interactiveAsking(),
    hostKey: text(parsed, 'hostKey'),
    fleet,
    history,
    onNewRoot: (host, before, after) => {
      context.out.note(`root ${after.version} counts from now on, as ${host} knew it:`)
      for (const line of differencesOf(before, after)) context.out.note(`  ${line}`)
    },
  }
}

export function keyOptions(parsed: Parsed, context: CliContext): KeyOptions {
  const options: KeyOptions = {
    configDir: context.configDir,
    key: text(parsed, 'key') ?? context.env['DEPLOYCTL_KEY'],
    agentSocket: context.env['SSH_AUTH_SOCK'],
  }
  return isInteractive() && !context.out.json ? { ...options, askPassphrase } : options
}

export const signerFor = (parsed: Parsed, context: CliContext): Promise<Signer> =>
  openSigner(keyOptions(parsed, context))
