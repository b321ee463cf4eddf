import { DeployError } from '../../shared/errors.ts'
import type { Policy, Role, Root, RootKey } from '../../shared/formats/root.ts'

/** Thresholds for roles that got their first key; one is enough until somebody says otherwise. */
function completed(root: Root): Root {
  const optional = (['schedule', 'recovery'] as const).filter((role) =>
    root.keys.some((key) => key.roles.includes(role)),
  )
  const { schedule, recovery, ...rest } = root.thresholds
  const known = { schedule, recovery }
  const more = optional.map((role) => [role, known[role] ?? 1] as const)
  return { ...root, thresholds: { ...rest, ...Object.fromEntries(more) } }
}

type FingerprintOf = (line: string) => string

/** A further key, or another entry for one that is there; logins that were shut out are let in again. */
export function withKey(root: Root, entry: RootKey, fingerprintOf: FingerprintOf): Root {
  const { revokedLogins = [], ...rest } = root
  const keys = root.keys.filter(({ key }) => key !== entry.key)
  const again = new Set(entry.logins?.map(fingerprintOf))
  const revoked = revokedLogins.filter((one) => !again.has(one))
  const still = revoked.length > 0 ? { revokedLogins: revoked } : {}
  return completed({ ...rest, ...still, keys: [...keys, entry] })
}

export type Revoked = { root: Root; keys: RootKey[]; logins: string[] }

/**
 * Without an owner's keys, or one key by its fingerprint; their logins end with them. A fingerprint that
 * is no signing key's is that of a login.
 * @param fingerprintOf of a public key's line
 * @throws DeployError E_KEY_UNKNOWN
 */
export function withoutKeys(root: Root, who: readonly string[], fingerprintOf: FingerprintOf): Revoked {
  const isMeant = ({ owner, key }: RootKey) => who.includes(owner) || who.includes(fingerprintOf(key))
  const gone = root.keys.filter(isMeant)
  const isKnown = (one: string) => gone.some(({ owner, key }) => one === owner || one === fingerprintOf(key))
  const others = who.filter((one) => !isKnown(one))
  const stranger = others.find((one) => !one.startsWith('SHA256:'))
  if (stranger !== undefined)
    throw new DeployError('E_KEY_UNKNOWN', {
      name: stranger,
      known: root.keys.map(({ owner }) => owner).join(', '),
    })
  const logins = [...others, ...gone.flatMap(({ logins: own = [] }) => own.map(fingerprintOf))]
  const revokedLogins = [...new Set([...(root.revokedLogins ?? []), ...logins])]
  const keys = root.keys.filter((key) => !isMeant(key))
  const change = revokedLogins.length > 0 ? { keys, revokedLogins } : { keys }
  return { root: completed({ ...root, ...change }), keys: gone, logins }
}

/** One key in the place of another, with all that it may. */
export function withNewKey(root: Root, old: string, key: string): Root {
  return { ...root, keys: root.keys.map((one) => (one.key === old ? { ...one, key } : one)) }
}

export const withThreshold = (root: Root, role: Role, people: number): Root => ({
  ...root,
  thresholds: { ...root.thresholds, [role]: people },
})

/** A policy takes the place of one with the same scope; one that demands nothing takes it away. */
export function withPolicy(root: Root, policy: Policy): Root {
  const { services, hosts } = policy.scope
  const isSame = ({ scope }: Policy) =>
    scope.services.join() === services.join() && scope.hosts.join() === hosts.join()
  const others = (root.policies ?? []).filter((one) => !isSame(one))
  const isEmpty = !policy.approvals && !policy.cleanCommit && !policy.windows
  const policies = isEmpty ? others : [...others, policy]
  const { policies: _, ...rest } = root
  return policies.length > 0 ? { ...rest, policies } : rest
}

/**
 * After keys were lost: without them and the logins of who had them, with a new one that may what they
 * might, in a new epoch.
 */
export function recovered(
  root: Root,
  lost: readonly RootKey[],
  owner: string,
  key: string,
  fingerprintOf: FingerprintOf,
): Root {
  const { root: rest } = withoutKeys(
    root,
    lost.map((one) => fingerprintOf(one.key)),
    fingerprintOf,
  )
  const roles = [...new Set([...lost.flatMap((one) => one.roles), 'root' as const])]
  return completed({ ...rest, keys: [...rest.keys, { owner, key, roles }], epoch: root.epoch + 1 })
}
