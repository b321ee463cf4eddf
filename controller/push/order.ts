import { randomBytes } from 'node:crypto'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Environment, Order } from '../../shared/formats/order.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { checkRootTime } from '../../shared/trust/root.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import type { DeployOptions, Ready } from './deploy-options.ts'
import type { What } from './what.ts'

const orderMinutes = 5

export type SignedOrder = {
  opId: string
  at: string
  bytes: Buffer
  signatures: string[]
  release: readonly string[]
  approvals: readonly SignedApproval[]
}

/** As orders and approvals name it. */
export const environmentOf = ({ target: { environment } }: { target: { environment: Environment } }) => ({
  name: environment.name,
  digest: sha256Hex(encodeDocument(environment)),
})

/**
 * One signed order for all hosts that are ready, kept in the history before anybody sends it.
 * @throws DeployError E_ROOT_EXPIRED, and those of the signer
 */
export async function makeOrder(
  ready: readonly Ready[],
  what: What,
  { sessions, signer, target, approvals, history }: DeployOptions,
  rollout: RolloutPlan | null,
): Promise<SignedOrder> {
  const { root } = sessions.fleet
  const now = Date.now()
  checkRootTime(root, new Date(now).toISOString())
  const order: Order = {
    spec: 'deployctl/order/v1',
    fleet: root.fleet,
    epoch: root.epoch,
    root: root.version,
    opId: randomBytes(16).toString('hex'),
    action: what.action,
    service: what.service,
    release: what.release,
    environment: environmentOf({ target }),
    strategy: what.strategy,
    confirmSeconds: target.confirmSeconds,
    notBefore: new Date(now).toISOString(),
    expires: new Date(now + orderMinutes * 60_000).toISOString(),
    reason: what.reason,
    hosts: ready.map(({ session, state }) => ({
      id: session.target.name,
      seq: state.seq + 1,
      prev: state.active,
      challenge: state.challenge,
    })),
    ...(rollout && { rollout }),
    ...(target.rollout.rehearse && what.action === 'deploy' && { rehearse: true }),
    ...(what.despiteFreeze === true && { despiteFreeze: true }),
  }
  const bytes = encodeDocument(order)
  const signatures = [await signer.sign(namespaces.order, bytes)]
  history.recordPush({
    opId: order.opId,
    at: order.notBefore,
    action: what.action,
    service: what.service,
    environment: target.environment.name,
    release: what.release,
    version: what.version,
    provenance: what.provenance,
    approvals,
    signer: root.keys.find(({ key }) => key === signer.publicKey)?.owner ?? '?',
    fingerprint: signer.fingerprint,
    reason: what.reason,
    order: bytes,
    orderSignatures: signatures,
    rollout: rollout?.id ?? null,
  })
  const release = what.releaseSignatures
  return { opId: order.opId, at: order.notBefore, bytes, signatures, release, approvals }
}
