import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { blankReport, runOrder } from '../push/deploy.ts'
import type { Emit, HostReport } from '../push/events.ts'
import type { SignedOrder } from '../push/order.ts'
import type { OpenedReceipt } from '../push/receipt.ts'
import type { HostWork, Prepared, WorkOptions } from './host-work.ts'
import { findOwnOrder } from './own-order.ts'

/** How a host's turn came out; `left` when nobody waits for it any more, though it goes on. */
export type Turn =
  | { type: 'ended'; report: HostReport; opId: string | null; opened: OpenedReceipt | null }
  | { type: 'not-begun' }
  | { type: 'left' }

/** The order is not wrong, only late or lost: the host has forgotten its question, or never heard of it. */
const renewable = new Set(['E_ORDER_CHALLENGE', 'E_ORDER_EXPIRED', 'E_ORDER_LOST'])
/** Not for ever: a host whose agent dies of each order would have one after the other. */
const renewals = 2
/** Somebody was faster: perhaps this same rollout, by another driver. */
const overtaken = new Set(['E_ORDER_SEQ', 'E_ORDER_PREV', 'E_BUSY'])

export type TurnOptions = Pick<WorkOptions, 'sessions' | 'history' | 'record' | 'target'> & {
  emit: Emit
  work: HostWork
  plan: RolloutPlan
  /** Aborted when nobody waits for the hosts any longer. */
  leaving: AbortSignal
}

/** Sees hosts through their orders, each for itself. */
export class HostTurns {
  readonly #options: TurnOptions
  readonly #renewed = new Map<string, number>()

  constructor(options: TurnOptions) {
    this.#options = options
  }

  /** Never throws: whatever goes wrong is how it came out. */
  take(host: string, prepared: Prepared): Promise<Turn> {
    if ('order' in prepared) return this.follow(host, prepared.order, false)
    const report = { ...blankReport(host), result: prepared.result }
    if ('error' in prepared) report.error = prepared.error
    else report.reasons = [prepared.why]
    return Promise.resolve({ type: 'ended', report, opId: null, opened: null })
  }

  /** @param wasSent whether a driver before this one sent it */
  async follow(host: string, order: SignedOrder, wasSent: boolean, isSecond = false): Promise<Turn> {
    const { sessions, history, record, target, leaving, plan, work, emit } = this.#options
    const silence = listen(host, target.rollout.policy.progressSeconds, leaving)
    try {
      const ready = await work.connect(host)
      const { report, opened } = await runOrder(ready, order, {
        sessions,
        history,
        environment: record.details.environment,
        wasSent,
        signal: silence.signal,
        emit: (event) => {
          silence.heard()
          emit(event)
        },
      })
      if (leaving.aborted) return { type: 'left' }
      const code = report.error?.code ?? ''
      if (renewable.has(code) && this.#mayRenew(host)) return { type: 'not-begun' }
      const own =
        !isSecond && overtaken.has(code)
          ? await findOwnOrder(ready.session, plan, order.opId, { history, record })
          : null
      if (own) return await this.follow(host, own, true, true)
      return { type: 'ended', report, opId: order.opId, opened }
    } catch (error) {
      if (leaving.aborted) return { type: 'left' }
      const report = { ...blankReport(host), error: asDeployError(error) }
      return { type: 'ended', report, opId: order.opId, opened: null }
    } finally {
      silence.end()
    }
  }

  #mayRenew(host: string): boolean {
    const count = (this.#renewed.get(host) ?? 0) + 1
    this.#renewed.set(host, count)
    return count <= renewals
  }
}

/** Gives a host up from which nothing is heard for too long. */
function listen(host: string, seconds: number, leaving: AbortSignal) {
  const controller = new AbortController()
  const giveUp = () => controller.abort(new DeployError('E_NO_PROGRESS', { host, seconds }))
  const leave = () => controller.abort(leaving.reason)
  let timer = setTimeout(giveUp, seconds * 1000)
  leaving.addEventListener('abort', leave)
  return {
    signal: controller.signal,
    heard: () => {
      clearTimeout(timer)
      timer = setTimeout(giveUp, seconds * 1000)
    },
    end: () => {
      clearTimeout(timer)
      leaving.removeEventListener('abort', leave)
    },
  }
}
