import { Argument, Command as Commander, CommanderError } from 'commander'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { Command } from './command.ts'
import { addCompletion } from './completion.ts'
import { makeContext } from './context.ts'
import { makeOutput } from './output.ts'

/** Runs one command line; returns the exit code and never throws. */
export async function runProgram(
  argv: readonly string[],
  commands: readonly Command[],
  version: string,
): Promise<number> {
  const out = makeOutput(argv.includes('--json'))
  const program = new Commander('deployctl')
    .description('Push signed code to your own servers over SSH.')
    .version(version)
    .option('--json', 'one JSON value a line, for programs')
    .option('--verbose', 'show the causes of an error')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
  for (const command of commands) addCommand(program, command, () => makeContext(out))
  if (argv[0] === 'complete') await addCompletion(program, process.cwd())
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const failure = error instanceof CommanderError ? usageError(error) : asDeployError(error)
    out.error(failure)
    if (program.opts()['verbose'] && !out.json) showCauses(failure, (text) => out.note(text))
    return failure.exitCode
  }
}

function addCommand(program: Commander, command: Command, context: () => ReturnType<typeof makeContext>) {
  const sub = program
    .command(command.name)
    .summary(command.summary)
    .description(command.summary)
    .option('--json', 'one JSON value a line, for programs')
    .option('--verbose', 'show the causes of an error')
    .addHelpText('after', `\nExamples:\n${command.examples.map((line) => `  $ ${line}`).join('\n')}`)
  for (const { arg, summary, choices } of command.args ?? []) {
    const argument = new Argument(arg, summary)
    sub.addArgument(choices ? argument.choices(choices) : argument)
  }
  for (const flag of command.flags ?? []) sub.option(flag.flag, flag.summary, flag.default)
  sub.action(async () => {
    await command.run({ args: sub.args, flags: sub.optsWithGlobals() }, context())
  })
}

const usageError = (error: CommanderError) =>
  new DeployError('E_USAGE', { detail: capitalise(error.message.replace(/^error: /, '')) }, { cause: error })

const capitalise = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

function showCauses(error: Error, note: (text: string) => void) {
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
    note(cause.stack ?? cause.message)
}
