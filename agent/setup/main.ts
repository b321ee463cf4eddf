import { text } from 'node:stream/consumers'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { describeStep, stepsParser, type StepEvent } from '../../shared/install/steps.ts'
import { acceptAgent } from './agent-version.ts'
import { applyStep } from './apply-step.ts'

/** deploy-host: does, as root, what `deployctl host add` has shown. It reads the steps from standard input. */
const usage = `deploy-host COMMAND

  apply    do the steps given on standard input as JSON
  accept   keep the agent's version that runs: it is the one to come back to
`

async function apply(): Promise<void> {
  const value: unknown = JSON.parse(await text(process.stdin))
  if (!stepsParser.check(value)) {
    const [issue] = stepsParser.issues(value)
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'plan', why: `${issue?.path} ${issue?.message}` })
  }
  for (const [n, step] of value.steps.entries()) {
    try {
      tell({ n, result: await applyStep(step), detail: '' })
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      tell({ n, result: 'failed', detail })
      console.error(`could not ${describeStep(step)}: ${detail}`)
      process.exitCode = 1
      return
    }
  }
}

const tell = (event: StepEvent) => process.stdout.write(`${JSON.stringify(event)}\n`)

async function main() {
  // Whoever asked may be cut off: what was begun is finished all the same.
  process.on('SIGHUP', () => {})
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  const [command] = process.argv.slice(2)
  if (command === 'apply') return apply()
  if (command === 'accept') return acceptAgent()
  process.stdout.write(usage)
  process.exitCode = 2
}

main().catch((error: unknown) => {
  const failure = asDeployError(error)
  console.error(`${failure.code}  ${failure.message}\n  Next: ${failure.nextStep}`)
  process.exitCode = failure.exitCode
})
