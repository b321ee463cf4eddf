import type { Namespace } from '../formats/namespaces.ts'

/** A key that can sign, wherever it lives. */
export type Signer = {
  /** `type base64`, without a comment. */
  publicKey: string
  fingerprint: string
  /** An armored SSHSIG of the message. */
  sign(namespace: Namespace, message: Uint8Array): Promise<string>
}
