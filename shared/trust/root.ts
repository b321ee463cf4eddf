import { parseDocument } from '../documents/document.ts'
import { DeployError } from '../errors.ts'
import { namespaces } from '../formats/namespaces.ts'
import { Root, rootLimits, roles } from '../formats/root.ts'
import { parserOf } from '../schema.ts'
import { needPeople, whoSigned } from './signers.ts'

const parser = parserOf(Root)

/** A root exactly as it is signed. */
export type SignedRoot = { root: Root; bytes: Buffer; signatures: readonly string[] }

const unreachable = (why: string) => new DeployError('E_ROOT_UNREACHABLE', { why })
const invalid = (why: string) => new DeployError('E_DOCUMENT_INVALID', { what: 'root', why })

/**
 * A root that its own people signed; which one to trust is decided by who installs it. Whether it has
 * expired is asked where that matters (`checkRootTime`): one that has can still be followed by the next.
 * @throws DeployError E_SIGNER_UNKNOWN, E_SIGNATURE_*, E_DOCUMENT_INVALID
 */
export function openRoot(bytes: Buffer, signatures: readonly string[]): SignedRoot {
  const root = parseRoot(bytes)
  needPeople(whoSigned(namespaces.root, bytes, signatures, root), 'root', root, null, 'root')
  return { root, bytes, signatures }
}

/** A root that may still lack signatures. @throws DeployError E_DOCUMENT_INVALID, E_ROOT_UNREACHABLE */
export function parseRoot(bytes: Uint8Array): Root {
  const root = parseDocument(parser, bytes, 'root', rootLimits)
  if (new Set(root.keys.map(({ key }) => key)).size !== root.keys.length)
    throw invalid('a key is there twice')
  for (const role of roles) {
    const owners = new Set(root.keys.filter((key) => key.roles.includes(role)).map(({ owner }) => owner))
    const needed = root.thresholds[role]
    if (needed === undefined && owners.size > 0) throw unreachable(`the role ${role} has no threshold`)
    if (needed !== undefined && owners.size < needed)
      throw unreachable(`${needed} must sign in the role ${role}, and it names ${owners.size}`)
  }
  return root
}

/**
 * The root that follows: exactly the next version of the same fleet, signed by enough people of both. The
 * recovery keys of the one before can stand in for its root keys; then a new epoch begins, which voids
 * what lost or stolen keys have signed.
 * @throws DeployError E_ROOT_CHAIN, E_SIGNER_UNKNOWN, E_SIGNATURE_*, E_DOCUMENT_INVALID
 */
export function followRoot(current: Root, bytes: Buffer, signatures: readonly string[]): SignedRoot {
  const next = openRoot(bytes, signatures)
  const { root } = next
  const refuse = (why: string) =>
    new DeployError('E_ROOT_CHAIN', { version: root.version, current: current.version, why })
  if (root.fleet !== current.fleet) throw refuse('it is of another fleet')
  if (root.version !== current.version + 1) throw refuse('it is not the next version')
  const isNewEpoch = root.epoch === current.epoch + 1
  if (!isNewEpoch && root.epoch !== current.epoch) throw refuse('its epoch is neither the same nor the next')
  const signed = whoSigned(namespaces.root, bytes, signatures, current)
  const isRecovery = isNewEpoch && isEnough(() => needPeople(signed, 'recovery', current, null, 'root'))
  if (!isRecovery)
    needPeople(signed, 'root', current, null, `root ${root.version}, by root ${current.version},`)
  return next
}

function isEnough(check: () => unknown): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}

/** All roots after `current`, in order; the last is what counts now. */
export function followChain(
  current: SignedRoot,
  chain: readonly { root: string; signatures: readonly string[] }[],
): SignedRoot[] {
  let last = current
  return chain.map(({ root, signatures }) => (last = followRoot(last.root, Buffer.from(root), signatures)))
}

/** A whole chain: the first is trusted by who hands it over. @throws DeployError as openRoot and followRoot */
export function openChain(chain: readonly { root: string; signatures: readonly string[] }[]): SignedRoot[] {
  const [first, ...rest] = chain
  if (!first) throw invalid('there is none')
  const opened = openRoot(Buffer.from(first.root), first.signatures)
  return [opened, ...followChain(opened, rest)]
}

/** @param now ISO instant @throws DeployError E_ROOT_EXPIRED */
export function checkRootTime({ version, expires }: Root, now: string): void {
  if (now > expires) throw new DeployError('E_ROOT_EXPIRED', { version, expires, now })
}
