import { roles, type Root, type RootKey, type Scope } from '../../shared/formats/root.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { windowText } from '../../shared/trust/windows.decide.ts'
import { table } from '../cli/table.ts'

/** A root in words. */
export function describeRoot(root: Root): string[] {
  const { fleet, version, keys, revokedLogins = [] } = root
  return [
    `fleet ${fleet.slice(0, 8)}, root ${version}${root.epoch === 1 ? '' : `, epoch ${root.epoch}`}, ${untilText(root)}`,
    `people needed: ${thresholdTexts(root).join(', ')}`,
    '',
    table(['owner', 'key', 'may sign', 'for', 'until'], keys.map(rowOf)),
    ...policyTexts(root),
    ...(revokedLogins.length > 0 ? [`may not log in: ${revokedLogins.join(', ')}`] : []),
    ...warnings(root),
  ]
}

/** What is different in another root: a line for each thing that is new or gone. */
export function differencesOf(before: Root, after: Root): string[] {
  const [old, fresh] = [factsOf(before), factsOf(after)]
  return [
    ...fresh.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
    ...old.filter((line) => !fresh.includes(line)).map((line) => `- ${line}`),
    ...warnings(after),
  ]
}

function factsOf(root: Root): string[] {
  const { keys, epoch, revokedLogins = [] } = root
  const key = (entry: RootKey) => {
    const [owner, fingerprint, may, what, until] = rowOf(entry)
    const logins = entry.logins ? `, logs in with ${entry.logins.length}` : ''
    return `${owner} ${fingerprint} (${may}) for ${what}${until ? ` until ${until}` : ''}${logins}`
  }
  return [
    ...keys.map(key),
    ...thresholdTexts(root).map((one) => `people needed: ${one}`),
    ...policyTexts(root),
    ...revokedLogins.map((one) => `${one} may not log in`),
    `epoch ${epoch}`,
    untilText(root),
  ]
}

const untilText = ({ expires }: Root) => `good until ${expires.slice(0, 10)}`

const thresholdTexts = ({ thresholds }: Root) =>
  roles.filter((role) => thresholds[role] !== undefined).map((role) => `${role} ${thresholds[role]}`)

const policyTexts = ({ policies = [] }: Root) =>
  policies.map(({ scope, approvals, cleanCommit, windows = [] }) => {
    const wants = [
      approvals === undefined ? '' : `${approvals} people must agree`,
      cleanCommit ? 'only clean commits' : '',
      windows.length === 0 ? '' : `only ${windows.map(windowText).join(' or ')}`,
    ]
    return `policy for ${scopeText(scope)}: ${wants.filter(Boolean).join(', ')}`
  })

/** A policy that nobody can satisfy stops pushes, not the next root: it is said, and allowed. */
function warnings({ policies = [], keys }: Root): string[] {
  const able = new Set(keys.filter((key) => key.roles.includes('order')).map(({ owner }) => owner))
  return policies
    .filter(({ approvals = 1 }) => approvals > able.size)
    .map(
      ({ scope, approvals }) =>
        `! ${approvals} people must agree for ${scopeText(scope)}, and only ${able.size} may: ${[...able].join(', ')}`,
    )
}

const rowOf = ({ owner, key, roles: own, scope, notAfter }: RootKey) => [
  owner,
  `${fingerprintOf(publicKeyBlob(key))}${key.startsWith('sk-') ? ' (hardware)' : ''}`,
  own.join(', '),
  scopeText(scope),
  notAfter?.slice(0, 10) ?? '',
]

const scopeText = (scope: Scope | undefined) =>
  scope ? `${scope.services.join(', ')} on ${scope.hosts.join(', ')}` : 'everything'
