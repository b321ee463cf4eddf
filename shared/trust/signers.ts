import { DeployError } from '../errors.ts'
import type { Namespace } from '../formats/namespaces.ts'
import type { Role, Root, RootKey } from '../formats/root.ts'
import { verifySignature } from '../sshsig/verify.ts'

export type SignerName = { owner: string; fingerprint: string }
/** A key of the root that did sign; what it may is another question. */
export type SigningKey = RootKey & { fingerprint: string }
export type Signed = { by: SigningKey[]; strangers: string[] }

/**
 * Which of the root's keys signed a document, each once.
 * @throws DeployError E_SIGNATURE_FORMAT, E_SIGNATURE_INVALID when any of the signatures is no good
 */
export function whoSigned(
  namespace: Namespace,
  bytes: Uint8Array,
  signatures: readonly string[],
  root: Root,
): Signed {
  const by = new Map<string, SigningKey>()
  const strangers: string[] = []
  for (const signature of signatures) {
    const { publicKey, fingerprint } = verifySignature(namespace, bytes, signature)
    const known = root.keys.find(({ key }) => key === publicKey)
    if (known) by.set(publicKey, { ...known, fingerprint })
    else strangers.push(fingerprint)
  }
  return { by: [...by.values()], strangers }
}

/** One of each owner: thresholds count people, and somebody with two keys is still one. */
export function people(keys: readonly SigningKey[]): SigningKey[] {
  return [...new Map(keys.map((key) => [key.owner, key])).values()]
}

/** Those that have a role and, for a moment given, have not run out. @param now ISO instant */
export function inRole(keys: readonly SigningKey[], role: Role, now: string | null): SigningKey[] {
  return keys.filter(
    ({ roles, notAfter }) =>
      roles.includes(role) && (now === null || notAfter === undefined || now <= notAfter),
  )
}

/**
 * The people who signed in a role, if they are enough.
 * @param now ISO instant for keys that run out; null where time does not count
 * @throws DeployError E_SIGNER_UNKNOWN below the root's threshold
 */
export function needPeople(
  signed: Signed,
  role: Role,
  root: Root,
  now: string | null,
  what: string,
): SigningKey[] {
  const found = people(inRole(signed.by, role, now))
  const needed = root.thresholds[role]
  if (needed !== undefined && found.length >= needed) return found
  throw notEnough(signed, role, root, what)
}

/** That a document lacks signatures, with those that it has. */
export function notEnough({ by, strangers }: Signed, role: Role, root: Root, what: string): DeployError {
  const got = [...by.map(({ owner, fingerprint }) => `${owner} ${fingerprint}`), ...strangers]
  const needed = root.thresholds[role] ?? 'no number of'
  return new DeployError('E_SIGNER_UNKNOWN', { what, role, got: got.join(', ') || 'nobody', needed })
}
