import type { RolloutCommand } from '../history/rollouts.ts'
import { isEnding, type State } from './machine.ts'

/**
 * Whether a command makes sense in a state.
 * @param isLive whether somebody drives it now, who would have to be told
 */
export function mayBe({ do: what }: RolloutCommand, state: State, isLive: boolean): boolean {
  if (what === 'resume') return state === 'paused' && !isLive
  if (what === 'pause') return !isEnding(state) && state !== 'paused'
  const isOpen = state !== 'done' && state !== 'rolled-back'
  return isOpen && !(what === 'retry' && isLive)
}
