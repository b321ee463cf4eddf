import { DeployError } from '../errors.ts'
import { namespaces } from '../formats/namespaces.ts'
import { Root, type Role } from '../formats/root.ts'
import { parserOf } from '../schema.ts'
import { verifySignature } from '../sshsig/verify.ts'
import { parseDocument } from './document.ts'

export type SignerName = { owner: string; fingerprint: string }

const rootParser = parserOf(Root)

/**
 * Who signed a document, as far as the root lets them; each key counts once.
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID, E_SIGNER_UNKNOWN below the threshold
 */
export function signersOf(
  role: Role,
  bytes: Uint8Array,
  signatures: readonly string[],
  root: Root,
): SignerName[] {
  const found = new Map<string, SignerName>()
  const strangers: string[] = []
  for (const signature of signatures) {
    const { publicKey, fingerprint } = verifySignature(namespaces[role], bytes, signature)
    const entry = root.keys.find(({ key, roles }) => key === publicKey && roles.includes(role))
    if (entry) found.set(publicKey, { owner: entry.owner, fingerprint })
    else strangers.push(fingerprint)
  }
  if (found.size >= root.thresholds[role]) return [...found.values()]
  const got = [...strangers, ...[...found.values()].map((one) => one.fingerprint)].join(', ')
  throw new DeployError('E_SIGNER_UNKNOWN', {
    what: role,
    fingerprint: `${got || 'nothing'}; ${root.thresholds[role]} needed`,
  })
}

/**
 * A fleet's first root, signed by itself; which one to trust is decided by who installs it.
 * @param now ISO instant
 * @throws DeployError as `signersOf`, and E_DOCUMENT_INVALID when malformed or expired
 */
export function openRoot(bytes: Uint8Array, signatures: readonly string[], now: string): Root {
  const root = parseDocument(rootParser, bytes, 'root')
  const distinct = new Set(root.keys.map(({ key }) => key))
  if (distinct.size !== root.keys.length)
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'root', why: 'a key is there twice' })
  signersOf('root', bytes, signatures, root)
  if (now > root.expires)
    throw new DeployError('E_DOCUMENT_INVALID', { what: 'root', why: `it expired at ${root.expires}` })
  return root
}
