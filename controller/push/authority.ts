import { DeployError } from '../../shared/errors.ts'
import type { Order } from '../../shared/formats/order.ts'
import { openApproval, parseApproval } from '../../shared/trust/approvals.ts'
import { authorize } from '../../shared/trust/authorize.decide.ts'
import { checkWindows } from '../../shared/trust/windows.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import type { DeployOptions, Ready } from './deploy-options.ts'
import type { What } from './what.ts'

/**
 * The hosts' own rule, asked before anything is sent: nobody should learn from the tenth host that
 * somebody else has to agree.
 * @throws DeployError as authorize
 */
export function checkAuthority(
  ready: readonly Ready[],
  { action, service, release, provenance, despiteFreeze }: What,
  { sessions, signer, approvals }: DeployOptions,
  environment: Order['environment'],
): void {
  const { root } = sessions.fleet
  const own = root.keys.find(({ key }) => key === signer.publicKey)
  const { fingerprint } = signer
  const signed = own ? { by: [{ ...own, fingerprint }], strangers: [] } : { by: [], strangers: [fingerprint] }
  const opened = approvals.map((one) => openApproval(Buffer.from(one.approval), one.signatures, root))
  const now = new Date().toISOString()
  for (const { session, state } of ready) {
    const order = { service, release, environment, epoch: root.epoch, fleet: root.fleet }
    const host = session.target.name
    // What the host itself will find out where this side does not know.
    const known = provenance ?? { commit: '', dirty: false, builder: '', lockfile: null }
    const facts = { previous: state.previous, configuration: state.environment, provenance: known, now }
    const { isScheduled } = authorize({ root, order, signed, approvals: opened, host, ...facts })
    const isBack = action === 'rollback' && release === state.previous
    if (!isBack && (despiteFreeze !== true || isScheduled)) checkWindows(root, service, host, now)
  }
}

/**
 * Approvals from a file, if they are about what is being pushed.
 * @throws DeployError E_APPROVAL_OTHER
 */
export function checkApprovals(
  { approval, signatures }: SignedApproval,
  {
    release,
    environment,
    hosts,
  }: { release: string; environment: Order['environment']; hosts: readonly string[] },
): SignedApproval {
  const given = parseApproval(Buffer.from(approval))
  const refuse = (why: string) => new DeployError('E_APPROVAL_OTHER', { why })
  if (given.release !== release)
    throw refuse(`the release is ${release.slice(0, 12)}, approved was ${given.release.slice(0, 12)}`)
  if (given.environment.name !== environment.name || given.environment.digest !== environment.digest)
    throw refuse(`the configuration of ${environment.name} is another one`)
  const missing = hosts.filter((host) => !given.hosts.includes(host))
  if (missing.length > 0) throw refuse(`it is not for ${missing.join(', ')}`)
  return { approval, signatures }
}
