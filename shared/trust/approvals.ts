import { parseDocument } from '../documents/document.ts'
import { Approval, approvalLimits } from '../formats/approval.ts'
import { namespaces } from '../formats/namespaces.ts'
import type { Root } from '../formats/root.ts'
import { parserOf } from '../schema.ts'
import { whoSigned, type Signed } from './signers.ts'

const parser = parserOf(Approval)

export type OpenedApproval = { approval: Approval; signed: Signed }

/** @throws DeployError E_SIGNATURE_*, E_DOCUMENT_INVALID */
export function openApproval(bytes: Buffer, signatures: readonly string[], root: Root): OpenedApproval {
  const signed = whoSigned(namespaces.approval, bytes, signatures, root)
  return { approval: parseApproval(bytes), signed }
}

/** One that may still lack signatures. @throws DeployError E_DOCUMENT_INVALID */
export function parseApproval(bytes: Uint8Array): Approval {
  return parseDocument(parser, bytes, 'approval', approvalLimits)
}
