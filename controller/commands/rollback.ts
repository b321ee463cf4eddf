import { releaseSigners } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Root } from '../../shared/formats/root.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { text, type Command } from '../cli/command.ts'
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
import { short } from '../cli/words.ts'
import type { DeployOptions, Ready } from '../push/deploy-options.ts'
import { carryOut, openAll } from '../push/deploy.ts'
import type { HostReport } from '../push/events.ts'
import { outcomeOf } from '../push/outcome.decide.ts'
import { readState, type Session } from '../push/session.ts'
import { fetchBase, findBase, type Base } from '../push/upload.ts'
import { askProtected } from './push.ts'

export const rollbackCommand: Command = {
  name: 'rollback',
  summary: 'go back to the release before, which is still on the hosts',
  args: [{ arg: '[release]', summary: 'version or first digits of a digest; the one before when left out' }],
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '-m, --reason <text>', summary: 'why, for the history' },
    { flag: '-y, --yes', summary: 'do not ask on a protected environment' },
    keyFlag,
    hostKeyFlag,
  ],
  examples: ['deployctl rollback', 'deployctl rollback v1.2 -m "checkout broken"'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using history = workspace.history
    const { target, sessions, project } = workspace
    const { service } = project.config
    if (target.hosts.length === 0)
      throw new DeployError('E_NO_HOSTS', { environment: target.environment.name })
    await askProtected(parsed, workspace, `Roll back ${service}`, false)
    const signer = await signerFor(parsed, context)
    const screen = pushScreen(
      context.out,
      target.hosts.map(({ name }) => name),
    )
    const options: DeployOptions = {
      sessions,
      signer,
      history,
      target,
      approvals: [],
      emit: screen.emit,
    }
    const { opened, failed } = await openAll(options)
    try {
      const [unreachable] = failed
      if (unreachable) throw unreachable.error
      const wanted = parsed.args[0]
      const groups = await groupByRelease(opened, service, wanted, workspace)
      const reports: HostReport[] = []
      for (const [release, ready] of groups) {
        const found = await describe(ready, release, workspace, signer)
        const what = {
          action: 'rollback' as const,
          service,
          release,
          strategy: 'auto' as const,
          ...found,
        }
        reports.push(...(await carryOut(ready, { ...what, reason: text(parsed, 'reason') ?? '' }, options)))
      }
      const error = outcomeOf(
        reports.filter((one) => one.result !== 'skipped') as Parameters<typeof outcomeOf>[0],
        null,
      )
      if (error) throw error
    } finally {
      screen.end()
      for (const { client } of opened) client.close()
    }
  },
}

/** Hosts may come from different releases; each order has one. */
async function groupByRelease(
  sessions: readonly Session[],
  service: string,
  wanted: string | undefined,
  { history, target }: Workspace,
): Promise<Map<string, Ready[]>> {
  const groups = new Map<string, Ready[]>()
  const named =
    wanted === undefined ? null : findRelease(wanted, history.pushes(service, target.environment.name, 1000))
  await Promise.all(
    sessions.map(async (session) => {
      const beganMs = performance.now()
      const state = await readState(session, service)
      const release = named ?? state.previous
      if (release === null)
        throw new DeployError('E_NOTHING_TO_ROLL_BACK', { service, host: session.target.name })
      groups.set(release, [...(groups.get(release) ?? []), { session, state, beganMs }])
    }),
  )
  return groups
}

/** @throws DeployError E_RELEASE_UNKNOWN, E_RELEASE_AMBIGUOUS */
function findRelease(
  name: string,
  pushes: readonly { release: string; version: string; service: string }[],
): string {
  const found = [
    ...new Set(
      pushes
        .filter(({ release, version }) => version === name || release.startsWith(name))
        .map(({ release }) => release),
    ),
  ]
  const [only] = found
  if (only === undefined)
    throw new DeployError('E_RELEASE_UNKNOWN', {
      release: name,
      service: pushes[0]?.service ?? 'this service',
    })
  if (found.length > 1)
    throw new DeployError('E_RELEASE_AMBIGUOUS', { name, found: found.map(short).join(', ') })
  return only
}

async function describe(
  [first]: readonly Ready[],
  release: string,
  { fleet, history, project }: Workspace,
  signer: Signer,
) {
  const { service } = project.config
  const known = findBase(history, release)
  if (!known) {
    const base = first ? await fetchBase(first.session, release, fleet.root) : null
    if (!base) return { version: short(release), provenance: null, releaseSignatures: [] }
    return { ...toldOf(base), releaseSignatures: [] }
  }
  const kept = history.manifest(release)?.signatures ?? []
  // Who signed it may have left since: then whoever goes back vouches for it, from this side's own record.
  const releaseSignatures = isVouchedFor(known.bytes, kept, fleet.root, service)
    ? kept
    : [await signer.sign(namespaces.release, known.bytes)]
  return { ...toldOf(known), releaseSignatures }
}

const toldOf = ({ manifest: { version, provenance } }: Base) => ({ version, provenance })

function isVouchedFor(bytes: Buffer, signatures: readonly string[], root: Root, service: string): boolean {
  try {
    return releaseSigners(bytes, signatures, root, service, new Date().toISOString()).length > 0
  } catch {
    return false
  }
}
