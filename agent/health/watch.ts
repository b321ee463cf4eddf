import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import { serviceDefaults, type HealthSpec } from '../../shared/formats/service-spec.ts'
import { probeOnce, type ProbeAnswer, type ProbeContext } from './probe.ts'
import { judgeHealth, type Watch } from './watch.decide.ts'

const endedPollMs = 100

export type WatchOptions = {
  health: HealthSpec
  context: () => Promise<ProbeContext>
  /** How the instance ended; null while it runs. */
  ended: () => Promise<string | null>
  onAnswers?: (answers: readonly ProbeAnswer[]) => void
}

/**
 * Returns when the service has been healthy for its minimum time.
 * @throws DeployError E_SERVICE_START when it ends, E_PROBE_FAILED when it is not healthy in time
 */
export async function watchHealth({ health, context, ended, onAnswers }: WatchOptions): Promise<void> {
  const began = performance.now()
  const seconds = { ...serviceDefaults, ...health }
  const limits = {
    deadlineMs: seconds.deadlineSeconds * 1000,
    minHealthyMs: seconds.minHealthySeconds * 1000,
  }
  let watch: Watch = { goodSinceMs: null }
  for (;;) {
    const around = await context()
    const asking = Promise.all([
      ...(around.readiness ? [around.readiness()] : []),
      ...(health.probes ?? []).map((probe) => probeOnce(probe, around)),
    ])
    const { answers, how } = await untilAnsweredOrEnded(asking, ended)
    // Who asks somebody that has ended waits in vain: what was answered before says more.
    if (answers.length > 0) onAnswers?.(answers)
    const verdict = judgeHealth(watch, { atMs: performance.now() - began, ended: how, answers }, limits)
    if (verdict.verdict === 'healthy') return
    if (verdict.verdict === 'failed')
      throw new DeployError(how === null ? 'E_PROBE_FAILED' : 'E_SERVICE_START', { why: verdict.why })
    watch = verdict.watch
    await delay(seconds.intervalSeconds * 1000)
  }
}

/** A connection to a socket that the host holds is made even when nobody is there to answer it. */
async function untilAnsweredOrEnded(
  asking: Promise<ProbeAnswer[]>,
  ended: () => Promise<string | null>,
): Promise<{ answers: readonly ProbeAnswer[]; how: string | null }> {
  for (;;) {
    const answers = await Promise.race([asking, delay(endedPollMs, null)])
    const how = await ended()
    if (answers !== null || how !== null) return { answers: answers ?? [], how }
  }
}
