import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Sample } from '../../shared/wire/api.ts'
import type { InstanceSpec, ServiceManager } from '../manager/manager.ts'
import { readMetrics } from './metrics.ts'
import { fetchText, probeOnce } from './probe.ts'

const metricsTimeoutMs = 5_000

/** How the committed release of a service is at this moment. */
export async function takeSample(
  manager: ServiceManager,
  spec: InstanceSpec,
  { health }: Manifest,
): Promise<Sample> {
  const { instances, addresses } = await manager.status(spec.service)
  const own = instances.find(({ slot, release }) => slot === spec.slot && release === spec.release)
  const runCommand = (argv: readonly string[], signal: AbortSignal) => manager.runCommand(spec, argv, signal)
  const context = { addresses, runCommand }
  const [answers, { metrics, problem }] = await Promise.all([
    Promise.all((health.probes ?? []).map((probe) => probeOnce(probe, context))),
    askMetrics(health.metrics, context),
  ])
  return {
    active: spec.release,
    isRunning: own?.state === 'running',
    restarts: own?.restarts ?? 0,
    probes: answers.map(({ ok, ms, detail }) => ({ ok, ms, detail })),
    metrics,
    problem,
  }
}

async function askMetrics(
  spec: Manifest['health']['metrics'],
  context: Parameters<typeof probeOnce>[1],
): Promise<Pick<Sample, 'metrics' | 'problem'>> {
  if (!spec) return { metrics: null, problem: null }
  try {
    const path = spec.path ?? '/metrics'
    const { status, body } = await fetchText(
      path,
      spec.socket,
      context,
      AbortSignal.timeout(metricsTimeoutMs),
    )
    if (status !== 200) return { metrics: null, problem: `${path}: ${status}` }
    return { metrics: readMetrics(body, spec), problem: null }
  } catch (error) {
    return { metrics: null, problem: error instanceof Error ? error.message : String(error) }
  }
}
