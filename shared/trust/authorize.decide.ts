import { DeployError } from '../errors.ts'
import type { Approval } from '../formats/approval.ts'
import type { Manifest } from '../formats/manifest.ts'
import type { Order } from '../formats/order.ts'
import type { Root } from '../formats/root.ts'
import type { OpenedApproval } from './approvals.ts'
import { covers, demandsOf } from './scope.decide.ts'
import { inRole, notEnough, people, type Signed, type SigningKey } from './signers.ts'

export type Request = {
  root: Root
  order: Pick<Order, 'service' | 'release' | 'environment' | 'epoch' | 'fleet'>
  /** Who signed the order. */
  signed: Signed
  approvals: readonly OpenedApproval[]
  host: string
  /**
   * What the service would go back to, and the digest of the configuration it has: that release with that
   * configuration needs nobody's further consent. Another configuration could make anything of it.
   */
  previous: string | null
  configuration: string | null
  provenance: Manifest['provenance']
  /** ISO instant. */
  now: string
}

/** Who ordered and who agreed. */
export type Authority = { by: SigningKey[]; agreed: SigningKey[]; isScheduled: boolean }

/**
 * Whether the people behind an order may have what it says done on a host.
 * @throws DeployError E_SIGNER_UNKNOWN, E_SCOPE, E_APPROVALS, E_DIRTY_RELEASE
 */
export function authorize(request: Request): Authority {
  const { root, order, signed, host, provenance, now } = request
  const { service } = order
  const ordering = inRole(signed.by, 'order', now)
  const scheduling = ordering.length === 0 ? inRole(signed.by, 'schedule', now) : []
  const isScheduled = scheduling.length > 0
  const able = isScheduled ? scheduling : ordering
  if (able.length === 0) throw notEnough(signed, 'order', root, 'order')
  const by = people(able.filter(({ scope }) => covers(scope, service, host)))
  if (by.length === 0)
    throw new DeployError('E_SCOPE', { owner: able.map(({ owner }) => owner).join(', '), service, host })
  const agreed = agreeing(request)
  const demands = demandsOf(root, service, host)
  // A schedule's key agrees to nothing: it may only carry out what people have agreed to.
  const counted = people(isScheduled ? agreed : [...by, ...agreed])
  const isSame = order.environment.digest === request.configuration
  const isBack = !isScheduled && isSame && order.release === request.previous
  const needed = isBack ? root.thresholds.order : demands.people
  const enough = isScheduled ? by.length >= (root.thresholds.schedule ?? Number.POSITIVE_INFINITY) : true
  if (counted.length < needed || !enough)
    throw new DeployError('E_APPROVALS', {
      service,
      host,
      needed,
      got: counted.map(({ owner }) => owner).join(', ') || 'nobody',
    })
  if (demands.cleanCommit && !isBack && (provenance.dirty || provenance.commit === null))
    throw new DeployError('E_DIRTY_RELEASE', { service, host })
  return { by, agreed, isScheduled }
}

/** The people whose approvals say that this may run on a host now. */
export function agreeing({
  root,
  order,
  approvals,
  host,
  now,
}: Pick<Request, 'root' | 'order' | 'approvals' | 'host' | 'now'>): SigningKey[] {
  const isAbout = (approval: Approval) =>
    approval.fleet === root.fleet &&
    approval.epoch === root.epoch &&
    approval.service === order.service &&
    approval.release === order.release &&
    approval.environment.name === order.environment.name &&
    approval.environment.digest === order.environment.digest &&
    approval.hosts.includes(host) &&
    approval.notBefore <= now &&
    now <= approval.expires
  const keys = approvals.filter(({ approval }) => isAbout(approval)).flatMap(({ signed }) => signed.by)
  return people(inRole(keys, 'order', now).filter(({ scope }) => covers(scope, order.service, host)))
}
