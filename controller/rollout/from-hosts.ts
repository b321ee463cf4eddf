import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { inRole, whoSigned } from '../../shared/trust/signers.ts'
import type { Root } from '../../shared/formats/root.ts'
import type { Target } from '../config/target.ts'
import type { HostWork, RolloutRecord } from '../history/rollouts.ts'
import type { History } from '../history/history.ts'
import { openAll } from '../push/deploy.ts'
import { environmentOf } from '../push/order.ts'
import type { SessionOptions } from '../push/session.ts'
import { restored, type HostAt } from './machine.ts'
import { keepOrder, readDeployments, type HostDeployment } from './own-order.ts'

const newest = 20

type Journals = ReadonlyMap<string, readonly HostDeployment[]>

/**
 * A rollout as its hosts journalled it, where this machine knows nothing of it.
 * @param prefix of its id
 * @returns null when no host that answers knows it
 * @throws DeployError E_ROLLOUT_AMBIGUOUS, E_ROLLOUT_CONFIG
 */
export async function rolloutFromHosts(
  prefix: string,
  service: string,
  { sessions, target, history }: { sessions: SessionOptions; target: Target; history: History },
): Promise<RolloutRecord | null> {
  const journals = await readJournals(service, { sessions, target })
  const own = [...journals.values()].flat().filter(({ order }) => order.rollout?.id.startsWith(prefix))
  const ids = [...new Set(own.map(({ order }) => order.rollout?.id ?? ''))]
  if (ids.length > 1)
    throw new DeployError('E_ROLLOUT_AMBIGUOUS', {
      id: prefix,
      found: ids.map((id) => id.slice(0, 8)).join(', '),
    })
  const first = own.find(({ order }) => order.action === 'deploy')
  const plan = first?.order.rollout
  if (!first || !plan) return null
  const { digest } = environmentOf({ target })
  if (first.order.environment.digest !== digest)
    throw new DeployError('E_ROLLOUT_CONFIG', {
      environment: target.environment.name,
      id: plan.id.slice(0, 8),
      version: first.entry.version,
    })
  for (const one of own) keepOrder(one, history)
  return recordOf(plan, first, journals, target)
}

/** Only what somebody signed who may order; a host's own word for it would not do. */
async function readJournals(
  service: string,
  { sessions, target }: { sessions: SessionOptions; target: Target },
): Promise<Journals> {
  const { opened } = await openAll({ sessions, target })
  const { root } = sessions.fleet
  try {
    const read = opened.map(async (session) => {
      const all = await readDeployments(session, service, newest)
      return [session.target.name, all.filter((one) => isSigned(one, root))] as const
    })
    return new Map(await Promise.all(read))
  } finally {
    for (const { client } of opened) client.close()
  }
}

function isSigned({ entry }: HostDeployment, root: Root): boolean {
  try {
    const { by } = whoSigned(namespaces.order, Buffer.from(entry.order), entry.signatures, root)
    return [...inRole(by, 'order', entry.began), ...inRole(by, 'schedule', entry.began)].length > 0
  } catch {
    return false
  }
}

function recordOf(
  plan: RolloutPlan,
  { entry, order }: HostDeployment,
  journals: Journals,
  target: Target,
): RolloutRecord {
  const hosts: Record<string, HostAt> = {}
  const work: Record<string, HostWork> = {}
  for (const host of plan.batches.flat()) {
    const known = journals.get(host) ?? []
    hosts[host] = whereIs(plan, known)
    work[host] = workOf(plan, host, known)
  }
  const { service, release, strategy, reason } = order
  const version = entry.version ?? release.slice(0, 12)
  const what = {
    action: 'deploy',
    service,
    release,
    version,
    strategy,
    reason,
    provenance: null,
    releaseSignatures: [],
  } as const
  const { environment, rollout } = target
  return {
    rollout: restored(plan, hosts),
    details: {
      what,
      environment,
      confirmSeconds: order.confirmSeconds,
      rehearse: order.rehearse ?? false,
      onUnreachable: rollout.onUnreachable,
      approvals: entry.approvals,
      skipped: [],
    },
    hosts: work,
  }
}

const isOwn = ({ id }: RolloutPlan, { order }: HostDeployment) => order.rollout?.id === id

function whereIs(plan: RolloutPlan, known: readonly HostDeployment[]): HostAt {
  const last = known.find((one) => isOwn(plan, one))
  if (!last) return 'waiting'
  const { entry, order } = last
  const isRevert = order.action === 'rollback'
  if (entry.ended === null) return isRevert ? 'reverting' : 'deploying'
  if (isRevert) return entry.state === 'committed' ? 'reverted' : 'revert-failed'
  return entry.state as HostAt
}

/** What a host ran when the rollout began: what the first order since then found there. */
function workOf(plan: RolloutPlan, host: string, known: readonly HostDeployment[]): HostWork {
  const since = known.filter((one) => isOwn(plan, one) || one.entry.began > plan.began)
  const first = since.at(-1)?.order.hosts.find(({ id }) => id === host)
  const lastBefore = known.find((one) => !since.includes(one) && one.entry.state === 'committed')
  return {
    before: first ? first.prev : (lastBefore?.order.release ?? null),
    opId: known.find((one) => isOwn(plan, one))?.entry.opId ?? null,
  }
}
