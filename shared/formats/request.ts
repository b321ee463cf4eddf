import { Strict, Type, type Static } from '../schema.ts'
import { approvalLimits } from './approval.ts'
import { manifestLimits } from './manifest.ts'
import { Signatures } from './names.ts'
import { rootLimits } from './root.ts'

const Collected = Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 8 })

/**
 * A file that goes from one person to the next until enough of them have signed: a root, or the approval
 * of a release, which comes along so that it can be looked at. Nothing of it counts but what is signed.
 */
export const SigningRequest = Type.Union([
  Strict({
    spec: Type.Literal('deployctl/request/v1'),
    root: Type.String({ maxLength: rootLimits.bytes }),
    signatures: Collected,
  }),
  Strict({
    spec: Type.Literal('deployctl/request/v1'),
    approval: Type.String({ maxLength: approvalLimits.bytes }),
    signatures: Collected,
    release: Strict({ manifest: Type.String({ maxLength: manifestLimits.bytes }), signatures: Signatures }),
  }),
])
export type SigningRequest = Static<typeof SigningRequest>
export type ApprovalRequest = Extract<SigningRequest, { approval: string }>
export type RootRequest = Extract<SigningRequest, { root: string }>
