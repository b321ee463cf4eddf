import type { Signer } from '../../shared/sshsig/signer.ts'
import type { ServiceState, SignedApproval } from '../../shared/wire/api.ts'
import type { Target } from '../config/target.ts'
import type { History } from '../history/history.ts'
import type { Emit } from './events.ts'
import type { Session, SessionOptions } from './session.ts'

/** A host that has the release and said what it runs. */
export type Ready = { session: Session; state: ServiceState; beganMs: number }

export type DeployOptions = {
  sessions: SessionOptions
  signer: Signer
  history: History
  target: Target
  emit: Emit
  /** What people agreed to, to be brought along. */
  approvals: readonly SignedApproval[]
}
