import { asDeployError } from '../../shared/errors.ts'
import type { Driver } from '../rollout/driver.ts'
import { isInteractive } from './ask.ts'
import type { CliContext } from './context.ts'

export type Interrupts = {
  /** Goes on without this terminal; says why it cannot where it cannot. */
  detach: () => Promise<void>
  /** Before and after a question is on the screen. */
  hold: (isHeld: boolean) => void
}

/**
 * Ctrl-C in a rollout asks what is meant. Where nobody can be asked it pauses: the hosts at work end, and no
 * other is begun; a second one ends this process at once.
 * @returns an end to it
 */
export function onInterrupt(driver: Driver, { detach, hold }: Interrupts, { out }: CliContext): () => void {
  let isAsking = false
  const ask = async () => {
    if (!isInteractive() || out.json) {
      process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal)
      out.note('  pausing: the hosts at work come to their end first; once more to leave at once')
      return driver.command({ do: 'pause' })
    }
    hold(true)
    try {
      await obey(driver, detach)
    } catch (error) {
      out.note(`  ${asDeployError(error).message}`)
    } finally {
      hold(false)
    }
  }
  const onSignal = () => {
    if (isAsking) return
    isAsking = true
    void ask().finally(() => (isAsking = false))
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return () => void process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal)
}

async function obey(driver: Driver, detach: () => Promise<void>) {
  const { select, isCancel } = await import('@clack/prompts')
  const answer = await select({
    message: 'The rollout is under way. What now?',
    output: process.stderr,
    options: [
      { value: 'go', label: 'Go on' },
      {
        value: 'detach',
        label: 'Detach',
        hint: 'it goes on in the background; `deployctl rollout attach` shows it again',
      },
      { value: 'pause', label: 'Pause', hint: 'hosts at work come to their end, no other is begun' },
      { value: 'nothing', label: 'Abort', hint: 'what has switched stays' },
      { value: 'all', label: 'Abort and take back', hint: 'what has switched goes back to the old release' },
    ],
  })
  if (isCancel(answer) || answer === 'go') return
  if (answer === 'detach') return detach()
  if (answer === 'pause') return driver.command({ do: 'pause' })
  driver.command({ do: 'abort', undo: answer === 'all' ? 'all' : 'nothing' })
}
