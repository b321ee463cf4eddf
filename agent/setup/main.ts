import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { describeStep, stepsParser, type Step, type StepEvent } from '../../shared/install/steps.ts'
import { acceptAgent } from './agent-version.ts'
import { applyStep } from './apply-step.ts'
import { takeTurn } from './turn.ts'
import { planInstall, planJoin, planUninstall } from './local.ts'

/** deploy-host: does, as root, what `deployctl host add` has shown. */
const usage = `deploy-host COMMAND

  join --host NAME --root FILE [--keys FILE]
             make this host part of the fleet whose root.json (and root.json.sig) this is;
             the keys' owners may log in for pushes
  install VERSION, uninstall
             what the Debian package does before and after
  apply      do the steps given on standard input as JSON (for deployctl host add)
  accept     keep the agent's version that runs: it is the one to come back to
`
const options = { host: { type: 'string' }, root: { type: 'string' }, keys: { type: 'string' } } as const

async function apply(): Promise<void> {
  const value: unknown = JSON.parse(await text(process.stdin))
  if (!stepsParser.check(value)) {
    const [issue] = stepsParser.issues(value)
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'plan', why: `${issue?.path} ${issue?.message}` })
  }
  await carryOut(value.steps, tell)
}

async function carryOut(steps: readonly Step[], tell: (event: StepEvent, step: Step) => void): Promise<void> {
  await takeTurn()
  for (const [n, step] of steps.entries()) {
    try {
      tell({ n, result: await applyStep(step), detail: '', error: null }, step)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      const known = error instanceof DeployError ? { code: error.code, facts: { ...error.facts } } : null
      tell({ n, result: 'failed', detail, error: known }, step)
      console.error(`could not ${describeStep(step)}: ${detail}`)
      process.exitCode = 1
      return
    }
  }
}

const tell = (event: StepEvent) => process.stdout.write(`${JSON.stringify(event)}\n`)

const say = ({ result }: StepEvent, step: Step) =>
  result === 'failed' || console.log(`${result === 'done' ? '✔' : '·'} ${describeStep(step)}`)

async function main() {
  // Whoever asked may be cut off: what was begun is finished all the same.
  process.on('SIGHUP', () => {})
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [command, argument] = positionals
  if (command === 'apply') return apply()
  if (command === 'accept') return acceptAgent()
  if (command === 'install' && argument !== undefined) {
    await carryOut(planInstall(argument), say)
    // Nobody reaches it from afar here; that it came up has to do.
    if (process.exitCode === undefined) acceptAgent()
    return
  }
  if (command === 'uninstall') return carryOut(planUninstall(), say)
  if (command === 'join' && values.host && values.root)
    return carryOut(planJoin(values.host, values.root, values.keys), say)
  process.stdout.write(usage)
  process.exitCode = 2
}

main().catch((error: unknown) => {
  const failure = asDeployError(error)
  console.error(`${failure.code}  ${failure.message}\n  Next: ${failure.nextStep}`)
  process.exitCode = failure.exitCode
})
