import { mkdir } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { encodeDocument } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import type { Approval } from '../../shared/formats/approval.ts'
import { demandsOf } from '../../shared/trust/scope.decide.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { moment } from '../cli/words.ts'
import type { Workspace } from '../cli/workspace.ts'
import { readApprovalRequest, writeRequest } from '../identity/request-file.ts'
import { checkApprovals } from '../push/authority.ts'
import { environmentOf } from '../push/order.ts'
import type { Release } from '../release/build.ts'

const maxHours = 30 * 24
/** For clocks that differ. */
const slackMs = 60_000

/**
 * Where the request goes; an empty text leaves it to `writeApprovalRequest`. Null when nothing is asked.
 * @throws DeployError E_USAGE for a place where it would become part of the release
 */
export function requestFile(parsed: Parsed, { project }: Workspace): string | null {
  const given = parsed.flags['request']
  if (given === undefined || given === false) return null
  if (given === true) return ''
  const inProject = relative(project.dir, resolve(given))
  const isInside = !inProject.startsWith('..') && !inProject.startsWith('.deployctl/')
  if (isInside)
    throw new DeployError('E_USAGE', {
      detail: `${given} would become part of the release; put it outside of the project, or leave the name out.`,
    })
  return resolve(given)
}

/** Approvals that were collected in a file. @throws DeployError E_APPROVAL_OTHER, E_REQUEST_FILE */
export async function readApproved(
  parsed: Parsed,
  { digest }: Release,
  { target }: Workspace,
): Promise<SignedApproval[]> {
  const file = text(parsed, 'approved')
  if (file === undefined) return []
  const { approval, signatures } = await readApprovalRequest(file)
  if (signatures.length === 0) return []
  const hosts = target.hosts.map(({ name }) => name)
  return [
    checkApprovals(
      { approval, signatures },
      { release: digest, environment: environmentOf({ target }), hosts },
    ),
  ]
}

/** That a release may run on these hosts with their configuration, from now on for so long. Nobody signed it yet. */
export function approvalOf(
  { digest, manifest }: Pick<Release, 'digest' | 'manifest'>,
  { target, fleet }: Pick<Workspace, 'target' | 'fleet'>,
  hours: number,
  reason: string,
): Approval {
  const now = Date.now()
  return {
    spec: 'deployctl/approval/v1',
    fleet: fleet.root.fleet,
    epoch: fleet.root.epoch,
    service: manifest.service,
    release: digest,
    environment: environmentOf({ target }),
    hosts: target.hosts.map(({ name }) => name),
    notBefore: new Date(now - slackMs).toISOString(),
    expires: new Date(now + hours * 3_600_000).toISOString(),
    reason,
  }
}

/** How many must agree, on the host that asks for most. */
export const peopleFor = (
  { manifest }: Pick<Release, 'manifest'>,
  { target, fleet }: Pick<Workspace, 'target' | 'fleet'>,
): number => Math.max(...target.hosts.map(({ name }) => demandsOf(fleet.root, manifest.service, name).people))

/** What others look at and sign: the approval, and the release that it is about. */
export async function writeApprovalRequest(
  given: string,
  release: Release,
  parsed: Parsed,
  { project, target, fleet }: Workspace,
  { out }: CliContext,
): Promise<void> {
  const { service, version } = release.manifest
  const hours = Number(text(parsed, 'hours') ?? '24')
  if (!(hours > 0 && hours <= maxHours))
    throw new DeployError('E_USAGE', { detail: `--hours is a number up to ${maxHours}.` })
  const approval = approvalOf(release, { target, fleet }, hours, text(parsed, 'reason') ?? '')
  const name = `${service}-${version.replaceAll('/', '-')}.request.json`
  const file = given || join(project.dir, '.deployctl', name)
  await mkdir(dirname(file), { recursive: true })
  const { bytes, signatures } = release
  await writeRequest(file, {
    spec: 'deployctl/request/v1',
    approval: encodeDocument(approval).toString(),
    signatures: [],
    release: { manifest: bytes.toString(), signatures },
  })
  const needed = peopleFor(release, { target, fleet })
  out.line(`wrote ${file}, good until ${moment(approval.expires)}; ${needed} must agree, you counted in`)
  out.line(`Next: have others sign it, deployctl approve ${file}`)
  out.event({ type: 'requested', file, release: release.digest, needed, expires: approval.expires })
}
