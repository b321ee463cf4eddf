import type { DeployError } from '../../shared/errors.ts'
import type { Drain, Receipt } from '../../shared/formats/receipt.ts'
import type { Comparison } from '../rollout/compare.decide.ts'
import type { Rollout } from '../rollout/machine.ts'
import type { DeploymentEvent } from '../../shared/wire/api.ts'

export type HostResultName = Receipt['result'] | 'unknown' | 'unchanged' | 'skipped'

/** What one host came to. Bytes are those on the wire, both directions of all its connections. */
export type HostReport = {
  host: string
  result: HostResultName
  strategy: string
  reasons: string[]
  error: DeployError | null
  steps: Receipt['steps']
  /** How the instance before was ended; null when it is not known or there was none. */
  drain: Drain | null
  ms: number
  sent: number
  received: number
}

/** How a rollout stands; told whenever it changes its state or its batch. */
export type RolloutNews = {
  type: 'rollout'
  id: string
  state: Rollout['state']
  /** From 1. */
  batch: number
  batches: number
  /** The hosts of this batch. */
  hosts: readonly string[]
  why: string | null
  bakeSeconds: number
  /** Hosts at work at once. */
  parallel: number
}

/** How the canary did beside the others. */
export type ComparisonNews = {
  type: 'comparison'
  canary: readonly string[]
  others: readonly string[]
  lines: readonly Comparison[]
}

/** The same while it is still watched, at each look. */
export type BakeNews = { type: 'bake'; lines: readonly Comparison[] }

/** Everything a push tells; the screen, `--json` and the history listen to the same. */
export type PushEvent =
  | { type: 'stage'; host: string; stage: string }
  | { type: 'progress'; host: string; sent: number; total: number }
  | { type: 'event'; host: string; event: DeploymentEvent }
  | ({ type: 'result' } & HostReport)
  | RolloutNews
  | ComparisonNews
  | BakeNews

export type Emit = (event: PushEvent) => void
