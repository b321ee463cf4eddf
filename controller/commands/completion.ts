import { DeployError } from '../../shared/errors.ts'
import type { Command } from '../cli/command.ts'
import { printCompletion, shells } from '../cli/completion.ts'

export const completionCommand: Command = {
  name: 'completion',
  summary: 'print what makes your shell complete commands, flags, environments and hosts',
  args: [{ arg: '<shell>', summary: shells.join(', '), choices: shells }],
  examples: [
    'source <(deployctl completion bash)      # in ~/.bashrc',
    'source <(deployctl completion zsh)       # in ~/.zshrc',
    'deployctl completion fish | source       # in ~/.config/fish/config.fish',
  ],
  async run({ args: [given = ''] }) {
    const shell = shells.find((one) => one === given)
    if (!shell) throw new DeployError('E_USAGE', { detail: `No completion for "${given}".` })
    await printCompletion(shell)
  },
}
