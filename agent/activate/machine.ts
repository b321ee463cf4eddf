/** The life of one deployment on one host; ARCHITECTURE draws it. */
export type State =
  | 'received'
  | 'staging'
  | 'staged'
  | 'checked'
  | 'switching'
  | 'switched'
  | 'probation'
  | 'draining'
  | 'rolling-back'
  | Ending

export type Ending = 'committed' | 'aborted' | 'rolled-back' | 'inconsistent'

export type Failure = { code: string; message: string }

export type Deployment = {
  state: State
  /** Why it is being undone or was given up; null while all is well. */
  failure: Failure | null
  /** How often going back was tried. */
  rollbacks: number
  /** End of probation on the boot's monotonic clock, in milliseconds; set when probation begins. */
  confirmBy: number | null
}

export type Event =
  | { type: 'begin' }
  | { type: 'staged' }
  | { type: 'checked' }
  | { type: 'switch' }
  | { type: 'switched' }
  | { type: 'healthy'; confirmBy: number }
  | { type: 'confirmed' }
  | { type: 'drained' }
  | { type: 'failed'; failure: Failure }
  | { type: 'rolled-back' }

/** What to do next; the state is in the journal before it is done. */
export type Effect =
  | 'stage'
  | 'check'
  | 'switch'
  | 'start'
  | 'probe'
  | 'await-confirm'
  | 'drain'
  | 'roll-back'
  | 'conclude'

export type Step = { next: Deployment; effect: Effect }

const maxRollbacks = 2
const beforeSwitch: ReadonlySet<State> = new Set(['received', 'staging', 'staged', 'checked'])
const endings: ReadonlySet<State> = new Set(['committed', 'aborted', 'rolled-back', 'inconsistent'])

/** The one good event in each state, and where it leads. */
const onward: Partial<Record<State, { on: Event['type']; to: State; effect: Effect }>> = {
  received: { on: 'begin', to: 'staging', effect: 'stage' },
  staging: { on: 'staged', to: 'staged', effect: 'check' },
  staged: { on: 'checked', to: 'checked', effect: 'switch' },
  checked: { on: 'switch', to: 'switching', effect: 'start' },
  switching: { on: 'switched', to: 'switched', effect: 'probe' },
  switched: { on: 'healthy', to: 'probation', effect: 'await-confirm' },
  probation: { on: 'confirmed', to: 'draining', effect: 'drain' },
  draining: { on: 'drained', to: 'committed', effect: 'conclude' },
  'rolling-back': { on: 'rolled-back', to: 'rolled-back', effect: 'conclude' },
}

export const received: Deployment = { state: 'received', failure: null, rollbacks: 0, confirmBy: null }

export function isEnding(state: State): state is Ending {
  return endings.has(state)
}

/**
 * The next state and its effect. A failure before `switching` changes nothing (aborted); after it the
 * host goes back, at most twice, and then says that it could not (inconsistent).
 * Null when the event does not belong to the state: the caller drops it, as a late confirm is dropped.
 */
export function transition(deployment: Deployment, event: Event): Step | null {
  if (isEnding(deployment.state)) return null
  if (event.type === 'failed') return fail(deployment, event.failure)
  const way = onward[deployment.state]
  if (way?.on !== event.type) return null
  const confirmBy = event.type === 'healthy' ? event.confirmBy : deployment.confirmBy
  return { next: { ...deployment, state: way.to, confirmBy }, effect: way.effect }
}

function fail(deployment: Deployment, failure: Failure): Step {
  if (beforeSwitch.has(deployment.state))
    return { next: { ...deployment, state: 'aborted', failure }, effect: 'conclude' }
  const { rollbacks } = deployment
  if (rollbacks >= maxRollbacks)
    return { next: { ...deployment, state: 'inconsistent', failure }, effect: 'conclude' }
  // The first failure is the reason; that of a rollback is told only if it is the last word.
  const first = deployment.failure ?? failure
  const next: Deployment = { ...deployment, state: 'rolling-back', failure: first, rollbacks: rollbacks + 1 }
  return { next, effect: 'roll-back' }
}

/** What a starting agent sees of a deployment that it finds in its journal. */
export type Found = { sameBoot: boolean; newReleaseRuns: boolean; monotonicMs: number }

/**
 * What an agent that starts does with an unfinished deployment: nothing was switched → abort;
 * in probation, and the new release still runs in time → wait on for the confirm; it was confirmed and
 * runs → let the old one finish; else → go back.
 * @returns null when there is nothing to do
 */
export function recover(deployment: Deployment, found: Found): Step | null {
  const { state, confirmBy } = deployment
  if (isEnding(state)) return null
  const inTime = confirmBy !== null && found.sameBoot && found.monotonicMs < confirmBy
  if (state === 'probation' && inTime && found.newReleaseRuns)
    return { next: deployment, effect: 'await-confirm' }
  if (state === 'draining' && found.newReleaseRuns) return { next: deployment, effect: 'drain' }
  if (state === 'rolling-back' && deployment.rollbacks < maxRollbacks) {
    const next = { ...deployment, rollbacks: deployment.rollbacks + 1 }
    return { next, effect: 'roll-back' }
  }
  return fail(deployment, {
    code: 'E_INTERRUPTED',
    message: `The agent was interrupted while the deployment was ${state}.`,
  })
}
