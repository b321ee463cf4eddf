import { parseDocument, sha256Hex } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Receipt } from '../../shared/formats/receipt.ts'
import { parserOf } from '../../shared/schema.ts'
import { verifySignature } from '../../shared/sshsig/verify.ts'

const parser = parserOf(Receipt)

export type OpenedReceipt = { receipt: Receipt; bytes: Buffer; signature: string; digest: string }

/**
 * A receipt, if it is signed by the key that is pinned for its host.
 * @throws DeployError E_RECEIPT_INVALID
 */
export function openReceipt(
  text: string,
  signature: string,
  host: string,
  pinnedKey: string | null,
): OpenedReceipt {
  const bytes = Buffer.from(text)
  const refuse = (why: string, cause?: unknown) =>
    new DeployError('E_RECEIPT_INVALID', { host, why }, { cause })
  try {
    const { publicKey } = verifySignature(namespaces.receipt, bytes, signature)
    if (publicKey !== pinnedKey) throw refuse('another key than the pinned one signed it')
    const receipt = parseDocument(parser, bytes, 'receipt')
    if (receipt.host !== host) throw refuse(`it is a receipt of ${receipt.host}`)
    return { receipt, bytes, signature, digest: sha256Hex(bytes) }
  } catch (error) {
    if (error instanceof DeployError && error.code === 'E_RECEIPT_INVALID') throw error
    throw refuse(error instanceof Error ? error.message : String(error), error)
  }
}

/** @throws DeployError E_RECEIPT_INVALID when it answers another order than this one */
export function checkAnswers({ receipt }: OpenedReceipt, opId: string, order: Buffer): void {
  if (receipt.opId === opId && receipt.order === sha256Hex(order)) return
  throw new DeployError('E_RECEIPT_INVALID', { host: receipt.host, why: 'it answers another order' })
}
