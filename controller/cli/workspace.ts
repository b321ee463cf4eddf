import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { loadProject, type Project } from '../config/load.ts'
import { resolveTarget, type Target } from '../config/target.ts'
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

export async function openWorkspace(parsed: Parsed, context: CliContext): Promise<Workspace> {
  const project = await loadProject(context.cwd)
  const only = text(parsed, 'host')?.split(',').filter(Boolean) ?? []
  const target = resolveTarget(project.config, text(parsed, 'env'), only)
  const fleet = openFleet(context.configDir)
  const history = openHistory(context)
  return { project, target, fleet, history, sessions: sessionOptions(parsed, context, fleet, history) }
}

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
