import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { askYes, isInteractive } from '../cli/ask.ts'
import { text, type Command, type Flag, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { pushScreen } from '../cli/push-screen.ts'
import {
  environmentFlag,
  hostFlag,
  onFlag,
  hostKeyFlag,
  keyFlag,
  openWorkspace,
  signerFor,
  type Workspace,
} from '../cli/workspace.ts'
import { someNames } from '../cli/rollout-words.ts'
import { bytes, short } from '../cli/words.ts'
import { openAll } from '../push/deploy.ts'
import type { HostReport } from '../push/events.ts'
import { push } from '../push/push.ts'
import { buildRelease, type Release } from '../release/build.ts'
import { openSaved, readSavedContent, saveRelease } from '../release/saved.ts'
import { keptRelease } from '../release/shelf.ts'
import { readStatement } from '../release/statement.ts'
import { RequestedStrategy } from '../../shared/formats/service-spec.ts'
import { parserOf } from '../../shared/schema.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { version } from '../../shared/version.ts'
import { aroundOf } from './rollout-around.ts'
import { interruptible } from './rollout-drive.ts'
import { rolloutFlags, rolloutOf } from './rollout-flags.ts'
import { readApproved, requestFile, writeApprovalRequest } from './push-approval.ts'

const strategyParser = parserOf(RequestedStrategy)

/** A release from the project's directory, or one that `deployctl build` saved. */
export async function releaseFor(
  parsed: Parsed,
  context: CliContext,
  workspace: Workspace,
  signer?: Signer,
): Promise<Release> {
  const { project, fleet } = workspace
  const saved = text(parsed, 'from')
  if (saved !== undefined) {
    const opened = await openSaved(saved, fleet.root)
    if (opened.manifest.service !== project.config.service)
      throw new DeployError('E_WRONG_SERVICE', {
        what: 'release',
        other: opened.manifest.service,
        own: project.config.service,
      })
    return { ...opened, contents: await readSavedContent(saved, opened, true) }
  }
  const given = text(parsed, 'as')
  const statement = text(parsed, 'statement')
  return buildRelease(project, {
    fleet: fleet.root.fleet,
    signer: signer ?? (await signerFor(parsed, context)),
    cacheDir: context.cacheDir,
    builder: `deployctl/${version}`,
    onOutput: (output) => context.out.note(output.trimEnd()),
    ...(given !== undefined && { version: given }),
    ...(statement !== undefined && { statement: await readStatement(statement) }),
  })
}

export const statementFlag: Flag = {
  flag: '--statement <file>',
  summary: 'an in-toto statement about the build (SLSA provenance), named in the release by its digest',
}

export function describeRelease({ manifest, digest }: Release): string {
  const size = manifest.files.reduce((sum, file) => sum + file.size, 0)
  const dirty = manifest.provenance.dirty ? ' (with uncommitted changes)' : ''
  return `${manifest.service} ${manifest.version}${dirty}  ${short(digest)}  ${manifest.files.length} files, ${bytes(size)}`
}

/** A program that was made for hot swaps, and cannot have them: it is handed over. */
export function noteNotHot({ notHot }: Release, out: CliContext['out']): void {
  if (notHot) out.note(`its code cannot be exchanged while it runs: ${notHot}`)
}

/** Before a protected environment is touched. @throws DeployError E_NOT_CONFIRMED */
export async function askProtected(
  parsed: Parsed,
  { target }: Workspace,
  what: string,
  isDirty: boolean,
): Promise<void> {
  if (!target.isProtected || parsed.flags['yes'] === true) return
  const dirty = isDirty ? ' with UNCOMMITTED changes' : ''
  const question = `${what}${dirty} on protected ${target.environment.name} (${target.hosts.length} hosts)?`
  if (isInteractive() && (await askYes(question))) return
  throw new DeployError('E_NOT_CONFIRMED', { what: question, flag: '--yes' })
}

/** For hosts that were away: what they are to catch up with. */
async function keepForLater(release: Release, left: readonly HostReport[], { dataDir, out }: CliContext) {
  const dir = keptRelease(dataDir, release.digest)
  await rm(dirname(dir), { recursive: true, force: true })
  await saveRelease(release, dir)
  out.note(`  ${someNames(left.map(({ host }) => host))} will catch up with: deployctl catch-up`)
}

export const pushCommand: Command = {
  name: 'push',
  summary: 'make a release and bring it to all hosts of an environment',
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '--from <dir>', summary: 'push a release that `deployctl build` saved' },
    { flag: '--as <version>', summary: 'version instead of the one from git' },
    statementFlag,
    {
      flag: '--request [file]',
      summary: 'upload only, and write a file in which others agree (deployctl approve)',
    },
    { flag: '--approved <file>', summary: 'push what others agreed to in that file' },
    { flag: '--hours <count>', summary: 'with --request: for how long the agreement is good', default: '24' },
    { flag: '-m, --reason <text>', summary: 'why, for the history' },
    {
      flag: '--strategy <name>',
      summary: 'auto, hot or handover (that or nothing), or restart',
      default: 'auto',
    },
    ...rolloutFlags,
    { flag: '--despite-freeze', summary: 'although deployments are frozen; the history keeps it' },
    { flag: '--stage', summary: 'upload only; nothing is switched' },
    { flag: '-y, --yes', summary: 'do not ask before pushing to a protected environment' },
    keyFlag,
    hostKeyFlag,
  ],
  examples: [
    'deployctl push',
    'deployctl push -e staging -m "new checkout"',
    'deployctl push --from .deployctl/v1.2',
    'deployctl push --request && deployctl push --approved .deployctl/shop-v1.2.request.json',
  ],
  async run(parsed, context) {
    const strategy = text(parsed, 'strategy')
    if (!strategyParser.check(strategy))
      throw new DeployError('E_USAGE', {
        detail: `--strategy is auto, hot, handover or restart, not "${strategy}".`,
      })
    const workspace = await openWorkspace(parsed, context, rolloutOf(parsed))
    const asking = requestFile(parsed, workspace)
    const { out } = context
    using history = workspace.history
    const { target, sessions } = workspace
    if (target.hosts.length === 0)
      throw new DeployError('E_NO_HOSTS', { environment: target.environment.name })
    const signer = await signerFor(parsed, context)
    // Shaking hands takes about as long as reading the files. Not before somebody was asked, though.
    const opening = target.isProtected ? undefined : openAll(workspace)
    const release = await releaseFor(parsed, context, workspace, signer).catch((error: unknown) => {
      // Said at once: a host that is slow to answer has no part in it.
      void opening?.then(({ opened }) => opened.forEach(({ client }) => client.close()))
      throw error
    })
    const { version: name, provenance } = release.manifest
    await askProtected(parsed, workspace, `Push ${name}`, provenance.dirty)
    const approved = await readApproved(parsed, release, workspace)
    out.line(`${describeRelease(release)}  → ${target.environment.name}`)
    noteNotHot(release, out)
    out.event({
      type: 'release',
      release: release.digest,
      version: release.manifest.version,
      service: release.manifest.service,
    })
    const screen = pushScreen(
      out,
      target.hosts.map(({ name }) => name),
    )
    let stop = () => {}
    const outcome = await push({
      release,
      target,
      history,
      sessions,
      opening,
      signer,
      approvals: approved,
      cacheDir: context.cacheDir,
      strategy,
      reason: text(parsed, 'reason') ?? '',
      around: aroundOf(workspace, context),
      despiteFreeze: parsed.flags['despiteFreeze'] === true,
      stageOnly: parsed.flags['stage'] === true || asking !== null,
      emit: screen.emit,
      onDriver: (driving, driver) => {
        stop = interruptible(driving, driver, screen, parsed, workspace, context)
      },
    }).finally(() => {
      stop()
      screen.end()
    })
    const left = outcome.reports.filter(({ result }) => result === 'skipped')
    if (left.length > 0 && outcome.rollout) await keepForLater(release, left, context)
    if (outcome.error) throw outcome.error
    if (asking !== null) await writeApprovalRequest(asking, release, parsed, workspace, context)
  },
}
