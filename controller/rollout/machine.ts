import type { RolloutPlan } from '../../shared/formats/rollout.ts'

/** The life of a rollout; ARCHITECTURE draws it. */
export type State = 'planned' | 'canary' | 'baking' | 'batch' | 'paused' | 'rolling-back' | Ending
export type Ending = 'done' | 'failed' | 'rolled-back' | 'partial'

/** How a host came out of its deployment. */
export type HostResult =
  | 'committed'
  | 'unchanged'
  | 'skipped'
  | 'aborted'
  | 'rolled-back'
  | 'inconsistent'
  | 'unknown'

/** `left`: the rollout ended before it was this host's turn. */
export type HostAt =
  | 'waiting'
  | 'deploying'
  | 'reverting'
  | 'reverted'
  | 'revert-failed'
  | 'left'
  | HostResult

export type Undo = 'nothing' | 'batch' | 'all'

export type Rollout = {
  plan: RolloutPlan
  state: State
  /** Index of the batch that is under way, or was last. */
  batch: number
  /** Where a pause goes on. */
  resumes: 'canary' | 'batch' | 'baking' | 'next' | null
  /** What becomes of it once no host is at work: somebody said so, or too much failed. */
  halt: { to: 'pause' } | { to: 'stop'; undo: Undo } | null
  /** Why it was paused or stopped; null while all is well. */
  why: string | null
  hosts: Record<string, HostAt>
}

export type Event =
  | { type: 'begin' }
  | { type: 'starting'; host: string }
  | { type: 'ended'; host: string; result: HostResult }
  /** The controller died before the order was sent: nothing was begun there. */
  | { type: 'not-begun'; host: string }
  | { type: 'baked'; problem: string | null }
  | { type: 'reverting'; host: string }
  | { type: 'reverted'; host: string; ok: boolean }
  | { type: 'pause'; why: string }
  | { type: 'resume' }
  | { type: 'abort'; undo: Undo; why: string }
  | { type: 'retry' }

const endings: ReadonlySet<State> = new Set(['done', 'failed', 'rolled-back', 'partial'])
const good: ReadonlySet<HostAt> = new Set(['committed', 'unchanged', 'skipped'])
const bad: ReadonlySet<HostAt> = new Set(['aborted', 'rolled-back', 'inconsistent', 'unknown'])
/** Nobody knows from here what such a host runs. */
const inDoubt: ReadonlySet<HostAt> = new Set(['inconsistent', 'unknown', 'revert-failed'])

export const isEnding = (state: State): state is Ending => endings.has(state)

export function planned(plan: RolloutPlan): Rollout {
  const hosts = Object.fromEntries(plan.batches.flat().map((host) => [host, 'waiting' as const]))
  return { plan, state: 'planned', batch: 0, resumes: null, halt: null, why: null, hosts }
}

/** A rollout of which no more is known than what became of its hosts. */
export function restored(plan: RolloutPlan, hosts: Rollout['hosts']): Rollout {
  const isBegun = (name: string) => hosts[name] !== 'waiting'
  const batch = Math.max(
    0,
    plan.batches.findLastIndex((names) => names.some(isBegun)),
  )
  const base: Rollout = { ...planned(plan), batch, hosts }
  const back = plan.batches.findIndex((names) =>
    names.some((name) => ['reverting', 'reverted', 'revert-failed'].includes(hosts[name] ?? '')),
  )
  if (back === -1) return settle({ ...base, state: stateOf(base, batch) })
  const undo = back < batch || plan.policy.onFailure === 'roll-back-all' ? 'all' : 'batch'
  return settle({
    ...base,
    state: 'rolling-back',
    halt: { to: 'stop', undo },
    why: 'it was being taken back',
  })
}

/**
 * The rollout after an event; the same one when the event does not belong to its state, as a command that
 * comes too late.
 */
export function apply(rollout: Rollout, event: Event): Rollout {
  const next = change(rollout, event)
  return next === rollout ? rollout : settle(next)
}

function change(rollout: Rollout, event: Event): Rollout {
  const { state } = rollout
  switch (event.type) {
    case 'begin':
      return state === 'planned' ? { ...rollout, state: stateOf(rollout, 0) } : rollout
    case 'starting':
      return startable(rollout).includes(event.host) ? withHost(rollout, event.host, 'deploying') : rollout
    case 'ended':
      return isAt(rollout, event.host, 'deploying') ? withHost(rollout, event.host, event.result) : rollout
    case 'not-begun':
      if (isAt(rollout, event.host, 'reverting')) return withHost(rollout, event.host, 'committed')
      return isAt(rollout, event.host, 'deploying') ? withHost(rollout, event.host, 'waiting') : rollout
    case 'baked':
      if (state !== 'baking') return rollout
      return event.problem === null ? onward(rollout) : halted(rollout, event.problem)
    case 'reverting':
      return revertable(rollout).includes(event.host) ? withHost(rollout, event.host, 'reverting') : rollout
    case 'reverted':
      if (!isAt(rollout, event.host, 'reverting')) return rollout
      return withHost(rollout, event.host, event.ok ? 'reverted' : 'revert-failed')
    case 'pause':
      if (state !== 'canary' && state !== 'batch' && state !== 'baking') return rollout
      return { ...rollout, halt: rollout.halt ?? { to: 'pause' }, why: rollout.why ?? event.why }
    case 'resume':
      return resume(rollout)
    case 'abort':
      return abort(rollout, event.undo, event.why)
    case 'retry':
      return retry(rollout)
  }
}

const isAt = ({ hosts }: Rollout, host: string, at: HostAt) => hosts[host] === at
const withHost = (rollout: Rollout, host: string, at: HostAt): Rollout => ({
  ...rollout,
  hosts: { ...rollout.hosts, [host]: at },
})
const stateOf = ({ plan }: Rollout, batch: number) => (plan.canary && batch === 0 ? 'canary' : 'batch')
const hostsOf = ({ plan, batch }: Rollout) => plan.batches[batch] ?? []
const count = ({ hosts }: Rollout, names: readonly string[], set: ReadonlySet<HostAt>) =>
  names.filter((name) => set.has(hosts[name] ?? 'left')).length

const atWork: ReadonlySet<HostAt> = new Set(['deploying', 'reverting'])
/** How many hosts have a deployment under way by this rollout. */
export const working = (rollout: Rollout): number => count(rollout, Object.keys(rollout.hosts), atWork)

function isOverLimit(rollout: Rollout): boolean {
  const { maxFailures } = rollout.plan.policy
  const inBatch = count(rollout, hostsOf(rollout), bad)
  return inBatch > maxFailures.batch || count(rollout, Object.keys(rollout.hosts), bad) > maxFailures.total
}

/** Hosts that the current batch has yet to deploy to, in their order; not all of them may begin at once. */
export function toStart(rollout: Rollout): string[] {
  const { state, halt, hosts } = rollout
  if ((state !== 'canary' && state !== 'batch') || halt !== null || isOverLimit(rollout)) return []
  return hostsOf(rollout).filter((host) => hosts[host] === 'waiting')
}

/** Hosts that have yet to go back. */
export function toRevert({ state, plan, halt, batch, hosts }: Rollout): string[] {
  if (state !== 'rolling-back') return []
  const wanted =
    halt?.to === 'stop' && halt.undo === 'all' ? plan.batches.flat() : (plan.batches[batch] ?? [])
  return wanted.filter((host) => hosts[host] === 'committed')
}

const mayBegin = (rollout: Rollout, hosts: readonly string[]) =>
  hosts.slice(0, Math.max(0, rollout.plan.policy.parallel - working(rollout)))

/** Hosts whose deployment may begin now. */
export const startable = (rollout: Rollout): string[] => mayBegin(rollout, toStart(rollout))

/** Hosts that may be taken back now. */
export const revertable = (rollout: Rollout): string[] => mayBegin(rollout, toRevert(rollout))

/** Goes on as far as it can without an effect. */
function settle(rollout: Rollout): Rollout {
  const { state, halt } = rollout
  if (working(rollout) > 0 || isEnding(state) || state === 'paused' || state === 'planned') return rollout
  if (state === 'rolling-back') return revertable(rollout).length > 0 ? rollout : ended(rollout)
  if (halt?.to === 'pause') return { ...rollout, state: 'paused', resumes: state, halt: null }
  if (halt?.to === 'stop') return stopped(rollout, halt.undo)
  if (state === 'baking') return rollout
  if (isOverLimit(rollout)) return settle(halted(rollout, 'too many hosts failed'))
  if (startable(rollout).length > 0) return rollout
  const { canary, batch } = rollout.plan.policy.bakeSeconds
  const isChanged = hostsOf(rollout).some((host) => rollout.hosts[host] === 'committed')
  if (isChanged && (state === 'canary' ? canary : batch) > 0) return { ...rollout, state: 'baking' }
  return settle(onward(rollout))
}

/** Past the current batch. */
function onward(rollout: Rollout): Rollout {
  const next = rollout.batch + 1
  const isLast = next >= rollout.plan.batches.length
  if (isLast) return ended(rollout)
  const isCanary = rollout.plan.canary && rollout.batch === 0
  if (isCanary && rollout.plan.policy.promote === 'manual' && rollout.resumes !== 'next')
    return { ...rollout, state: 'paused', resumes: 'next', why: 'the canary waits to be promoted' }
  return { ...rollout, state: 'batch', batch: next, resumes: null, why: null }
}

const undoOf = { stop: 'nothing', 'roll-back-batch': 'batch', 'roll-back-all': 'all' } as const

const halted = (rollout: Rollout, why: string): Rollout => ({
  ...rollout,
  halt: { to: 'stop', undo: undoOf[rollout.plan.policy.onFailure] },
  why,
})

function stopped(rollout: Rollout, undo: Undo): Rollout {
  const halt = { to: 'stop', undo } as const
  if (undo === 'nothing') return ended({ ...rollout, halt })
  return settle({ ...rollout, state: 'rolling-back', halt })
}

function resume(rollout: Rollout): Rollout {
  if (rollout.state !== 'paused' || rollout.resumes === null) return rollout
  if (rollout.resumes === 'next') return onward(rollout)
  return { ...rollout, state: rollout.resumes, resumes: null, why: null }
}

function abort(rollout: Rollout, undo: Undo, why: string): Rollout {
  const { state, halt } = rollout
  if (state === 'done' || state === 'rolled-back' || state === 'rolling-back') return rollout
  // What ended is opened again only to take something back.
  if (isEnding(state) && undo === 'nothing') return rollout
  if (halt?.to === 'stop' && halt.undo === undo && !isEnding(state)) return rollout
  const next: Rollout = { ...rollout, halt: { to: 'stop', undo }, why }
  if (isEnding(state) || state === 'paused' || state === 'planned') return stopped(next, undo)
  return next
}

/** Those that did not come to run the release have another turn. */
function retry(rollout: Rollout): Rollout {
  const { state, plan } = rollout
  if (state !== 'failed' && state !== 'partial' && state !== 'paused') return rollout
  const entries = Object.entries(rollout.hosts)
  const again = entries.filter(([, at]) => at !== 'waiting' && !good.has(at) && at !== 'reverted')
  if (again.length === 0) return rollout
  const hosts = { ...rollout.hosts, ...Object.fromEntries(again.map(([name]) => [name, 'waiting' as const])) }
  const batch = plan.batches.findIndex((names) => names.some((name) => hosts[name] === 'waiting'))
  const next = { ...rollout, hosts, batch, halt: null, why: null, resumes: null }
  return { ...next, state: stateOf(next, batch) }
}

function ended(rollout: Rollout): Rollout {
  const hosts = Object.fromEntries(
    Object.entries(rollout.hosts).map(([host, at]) => [host, at === 'waiting' ? ('left' as const) : at]),
  )
  const all = Object.values(hosts)
  return { ...rollout, hosts, resumes: null, state: endingOf(all) }
}

function endingOf(hosts: readonly HostAt[]): Ending {
  if (hosts.every((at) => good.has(at))) return 'done'
  if (hosts.some((at) => inDoubt.has(at))) return 'partial'
  if (hosts.includes('committed')) return 'partial'
  return hosts.includes('reverted') ? 'rolled-back' : 'failed'
}
