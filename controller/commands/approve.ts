import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { openRelease, type OpenedRelease } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import type { Approval } from '../../shared/formats/approval.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import { openApproval, parseApproval } from '../../shared/trust/approvals.ts'
import { demandsOf } from '../../shared/trust/scope.decide.ts'
import { notEnough, people } from '../../shared/trust/signers.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { askYes, isInteractive } from '../cli/ask.ts'
import type { Command } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { keyFlag, signerFor } from '../cli/workspace.ts'
import { bytes, moment, short } from '../cli/words.ts'
import { loadProject } from '../config/load.ts'
import { resolveTarget } from '../config/target.ts'
import { openFleet } from '../identity/fleet.ts'
import { readApprovalRequest, writeRequest } from '../identity/request-file.ts'
import { gitFacts } from '../release/version.ts'
import { buildRelease } from '../release/build.ts'

export const approveCommand: Command = {
  name: 'approve',
  summary: 'look at a release that somebody wants to push, and agree to it',
  args: [{ arg: '<file>', summary: 'what `deployctl push --request` wrote; your signature is added to it' }],
  flags: [keyFlag, { flag: '-y, --yes', summary: 'do not ask' }],
  examples: ['deployctl approve release.request.json'],
  async run(parsed, context) {
    const [file = ''] = parsed.args
    const { out } = context
    const { root } = openFleet(context.configDir)
    const request = await readApprovalRequest(file)
    const approvalBytes = Buffer.from(request.approval)
    const approval = parseApproval(approvalBytes)
    const release = openAsked(request, approval, root)
    const signer = await signerFor(parsed, context)
    const own = root.keys.find(({ key }) => key === signer.publicKey)
    if (!own?.roles.includes('order'))
      throw notEnough({ by: [], strangers: [signer.fingerprint] }, 'order', root, 'approval')
    const before = openApproval(approvalBytes, request.signatures, root).signed.by
    if (before.some(({ key }) => key === signer.publicKey))
      return out.line(`you have agreed already; next, for who asked: deployctl push --approved ${file}`)
    for (const line of describe(approval, release.manifest)) out.line(line)
    for (const line of await compare(approval, release, signer, context)) out.line(line)
    const question = `Agree to ${approval.service} ${release.manifest.version} on ${approval.environment.name}?`
    const isAgreed =
      parsed.flags['yes'] === true || (isInteractive() && !out.json && (await askYes(question)))
    if (!isAgreed) throw new DeployError('E_NOT_CONFIRMED', { what: question, flag: '--yes' })
    const signature = await signer.sign(namespaces.approval, approvalBytes)
    const signatures = [...request.signatures, signature]
    // Throws unless it is all as it should be, before anybody carries it further.
    const { by } = openApproval(approvalBytes, signatures, root).signed
    await writeRequest(file, { ...request, signatures })
    const agreed = people(by).map(({ owner }) => owner)
    const needed = Math.max(...approval.hosts.map((host) => demandsOf(root, approval.service, host).people))
    out.event({ type: 'approved', release: approval.release, agreed, needed })
    out.line(
      `agreed: ${agreed.join(', ')}; ${needed} ${needed === 1 ? 'person' : 'people'} needed, the one who pushes counts`,
    )
    out.line(`Next, for who asked: deployctl push --approved ${file}`)
  },
}

/** @throws DeployError E_APPROVAL_OTHER, and those of openRelease */
function openAsked(
  { release }: Awaited<ReturnType<typeof readApprovalRequest>>,
  approval: Approval,
  root: Parameters<typeof openRelease>[2],
): OpenedRelease {
  const opened = openRelease(
    Buffer.from(release.manifest),
    release.signatures,
    root,
    new Date().toISOString(),
  )
  if (opened.digest !== approval.release || opened.manifest.service !== approval.service)
    throw new DeployError('E_APPROVAL_OTHER', { why: 'the file shows another release than it asks for' })
  return opened
}

export function describeProvenance({
  commit,
  dirty,
  builder,
  lockfile,
  statement,
}: Manifest['provenance']): string[] {
  const state = dirty ? ' with UNCOMMITTED changes' : ', clean'
  return [
    commit === null ? 'from no commit' : `from commit ${commit}${state}`,
    `by ${builder}${lockfile === null ? '' : `, lock file ${short(lockfile)}`}`,
    ...(statement ? [`statement ${statement.predicateType}  ${short(statement.sha256)}`] : []),
  ]
}

function describe(approval: Approval, manifest: Manifest): string[] {
  const size = manifest.files.reduce((sum, file) => sum + file.size, 0)
  const { service, version: name, files, provenance } = manifest
  return [
    `${service} ${name}  ${short(approval.release)}  ${files.length} files, ${bytes(size)}`,
    ...describeProvenance(provenance).map((line) => `  ${line}`),
    `  runs ${manifest.run.argv.join(' ')}`,
    `  on ${approval.environment.name}: ${approval.hosts.join(', ')}`,
    `  until ${moment(approval.expires)}`,
    ...(approval.reason ? [`  "${approval.reason}"`] : []),
  ]
}

/** What can be checked from here: the configuration, and whether the same commit makes the same release. */
async function compare(
  approval: Approval,
  { manifest, digest }: OpenedRelease,
  signer: Signer,
  context: CliContext,
): Promise<string[]> {
  const project = await loadProject(context.cwd).catch(() => null)
  if (project?.config.service !== approval.service)
    return ['– not compared with sources: run this in a checkout of the service']
  const environment = project.config.environments[approval.environment.name]
    ? resolveTarget(project.config, approval.environment.name).environment
    : null
  const isSame = environment && sha256Hex(encodeDocument(environment)) === approval.environment.digest
  const configured = isSame
    ? '✔ the configuration is that of your deploy.yaml'
    : '✘ the configuration is NOT that of your deploy.yaml'
  const facts = await gitFacts(project.dir)
  if (!facts || facts.commit !== manifest.provenance.commit || facts.dirty)
    return [configured, '– not compared with sources: your checkout is at another commit, or has changes']
  const built = await buildRelease(project, {
    fleet: manifest.fleet,
    signer,
    cacheDir: context.cacheDir,
    // What they say of the builder is their word; all else is made anew here.
    builder: manifest.provenance.builder,
    version: manifest.version,
    ...(manifest.provenance.statement && { statement: manifest.provenance.statement }),
    onOutput: (output) => context.out.note(output.trimEnd()),
  })
  return [
    configured,
    built.digest === digest
      ? '✔ your checkout of that commit makes the very same release'
      : `✘ your checkout of that commit makes ANOTHER release: ${differences(manifest, built.manifest).join(', ')}`,
  ]
}

const shown = 5

function differences(theirs: Manifest, ours: Manifest): string[] {
  const known = new Map(ours.files.map(({ path, sha256, mode }) => [path, `${sha256} ${mode}`]))
  const changed = theirs.files
    .filter(({ path, sha256, mode }) => known.get(path) !== `${sha256} ${mode}`)
    .map(({ path }) => path)
  const paths = new Set(theirs.files.map(({ path }) => path))
  const all = [...changed, ...[...known.keys()].filter((path) => !paths.has(path))]
  if (all.length === 0) return ['not its files, but how it runs']
  return all.length > shown ? [...all.slice(0, shown), `and ${all.length - shown} more`] : all
}
