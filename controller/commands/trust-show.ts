import { roles, type Root, type RootKey, type Scope } from '../../shared/formats/root.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { table } from '../cli/table.ts'
import { allowedSigners } from '../identity/allowed-signers.ts'
import { openFleet } from '../identity/fleet.ts'

export async function showTrust(parsed: Parsed, { configDir, out }: CliContext): Promise<void> {
  const fleet = openFleet(configDir)
  const { root } = fleet
  if (parsed.flags['allowedSigners'] === true) return out.line(allowedSigners(root).trimEnd())
  out.event({ type: 'root', digest: fleet.digest, ...root })
  for (const line of describeRoot(root)) out.line(line)
}

export function describeRoot(root: Root): string[] {
  const { fleet, version, epoch, expires, keys, thresholds, policies = [], revokedLogins = [] } = root
  const used = roles.filter((role) => thresholds[role] !== undefined)
  return [
    `fleet ${fleet.slice(0, 8)}, root ${version}${epoch === 1 ? '' : `, epoch ${epoch}`}, good until ${expires.slice(0, 10)}`,
    `people needed: ${used.map((role) => `${role} ${thresholds[role]}`).join(', ')}`,
    '',
    table(['owner', 'key', 'may sign', 'for', 'until'], keys.map(rowOf)),
    ...policies.map(({ scope, approvals, cleanCommit }) => {
      const wants = [
        approvals === undefined ? '' : `${approvals} people must agree`,
        cleanCommit ? 'only clean commits' : '',
      ]
      return `policy for ${scopeText(scope)}: ${wants.filter(Boolean).join(', ')}`
    }),
    ...(revokedLogins.length > 0 ? [`may not log in: ${revokedLogins.join(', ')}`] : []),
  ]
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
