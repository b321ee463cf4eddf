import type { OptionHandler, RootCommand } from '@bomb.sh/tab'
import type { Command as Commander } from 'commander'
import { loadProject } from '../config/load.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** Prints what a shell's start-up file evaluates; the shell then asks `deployctl complete`. */
export async function printCompletion(shell: Shell): Promise<void> {
  const { script } = await import('@bomb.sh/tab')
  script(shell, 'deployctl', 'deployctl')
}

/**
 * Adds the hidden command that shells ask: commands and flags come from the program itself, the names
 * of environments and hosts from deploy.yaml.
 */
export async function addCompletion(program: Commander, cwd: string): Promise<void> {
  const { default: tab } = await import('@bomb.sh/tab/commander')
  const root = tab(program)
  const environments = await namesIn(cwd)
  answer(root, 'env', Object.keys(environments))
  answer(root, 'host', [...new Set(Object.values(environments).flat())])
}

function answer({ commands }: RootCommand, option: string, values: readonly string[]) {
  const handler: OptionHandler = (complete) => values.forEach((value) => complete(value, ''))
  for (const { options } of commands.values()) {
    const found = options.get(option)
    if (found) found.handler = handler
  }
}

/** Hosts by environment; nothing where there is no deploy.yaml, or a broken one. */
async function namesIn(cwd: string): Promise<Record<string, string[]>> {
  const project = await loadProject(cwd).catch(() => null)
  const environments = Object.entries(project?.config.environments ?? {})
  return Object.fromEntries(environments.map(([name, { hosts }]) => [name, Object.keys(hosts)]))
}
