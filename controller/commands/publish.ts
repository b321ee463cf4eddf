import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import pLimit from 'p-limit'
import { parseDocument } from 'yaml'
import { encodeDocument } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { packType, type SignedApproval } from '../../shared/wire/api.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { someNames } from '../cli/rollout-words.ts'
import { moment } from '../cli/words.ts'
import { environmentFlag, keyFlag, openWorkspace, signerFor, type Workspace } from '../cli/workspace.ts'
import type { ControllerClient } from '../client/controller-client.ts'
import { controllerFlag, openClient } from '../client/open-client.ts'
import { readInventory } from '../config/inventory.ts'
import type { HostConfig } from '../config/schema.ts'
import { hostTarget } from '../config/target.ts'
import type { Release } from '../release/build.ts'
import { savedNames, saveRelease } from '../release/saved.ts'
import { whereIs } from '../transport/connect.ts'
import { approvalOf, peopleFor, readApproved } from './push-approval.ts'
import { describeRelease, releaseFor } from './push.ts'

const maxDays = 366

export const publishCommand: Command = {
  name: 'publish',
  summary: 'give a release that you agree to to the controller, for its schedules to deploy',
  flags: [
    environmentFlag,
    { flag: '--channel <name>', summary: 'it becomes the newest of this channel', default: 'stable' },
    { flag: '--days <count>', summary: 'for how long it may be deployed', default: '30' },
    { flag: '--from <dir>', summary: 'a release that `deployctl build` saved' },
    { flag: '--as <version>', summary: 'version instead of the one from git' },
    { flag: '--approved <file>', summary: 'what others agreed to in that file (deployctl push --request)' },
    { flag: '-m, --reason <text>', summary: 'why, for the history' },
    {
      flag: '--no-config',
      summary: 'leave deploy.yaml as the controller has it, which takes less of a role',
    },
    keyFlag,
    controllerFlag,
  ],
  examples: [
    'deployctl publish',
    'deployctl publish --channel beta --days 7',
    'deployctl publish --approved shop.request.json',
  ],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using _ = workspace.history
    const { out } = context
    const { project, target } = workspace
    const signer = await signerFor(parsed, context)
    const release = await releaseFor(parsed, context, workspace, signer)
    const given = await readApproved(parsed, release, workspace)
    const approvals = given.length > 0 ? given : [await agree(release, parsed, workspace, signer)]
    await using client = await openClient(parsed, context)
    const { service } = project.config
    if (parsed.flags['config'] !== false && isRemote(parsed, context.env))
      await client.call({
        method: 'PUT',
        path: `/services/${service}`,
        body: await wholeConfig(workspace, context),
      })
    await sendContent(client, release, (line) => out.note(line))
    const channel = text(parsed, 'channel') ?? 'stable'
    const body = {
      service,
      environment: target.environment.name,
      channel,
      release: release.digest,
      approvals,
    }
    const { version, expires } = await client.call<{ version: string; expires: string | null }>({
      method: 'POST',
      path: '/published',
      body,
    })
    out.event({ type: 'published', service, channel, release: release.digest, version, expires })
    out.line(`${describeRelease(release)}  → ${channel}`)
    if (expires !== null) out.line(`may be deployed until ${moment(expires)}`)
    out.line(`Next: deployctl schedule add NAME '0 3 * * *' --channel ${channel}`)
  },
}

const isRemote = (parsed: Parsed, env: NodeJS.ProcessEnv) =>
  text(parsed, 'controller') !== undefined || env['DEPLOYCTL_CONTROLLER'] !== undefined

/** One's own agreement, for the time in which it may be deployed. @throws DeployError E_USAGE, E_APPROVALS */
async function agree(
  release: Release,
  parsed: Parsed,
  workspace: Workspace,
  signer: Signer,
): Promise<SignedApproval> {
  const days = Number(text(parsed, 'days'))
  if (!(days > 0 && days <= maxDays))
    throw new DeployError('E_USAGE', { detail: `--days is a number up to ${maxDays}.` })
  const needed = peopleFor(release, workspace)
  const { service } = release.manifest
  const host = someNames(workspace.target.hosts.map(({ name }) => name))
  if (needed > 1)
    throw new DeployError('E_APPROVALS', { service, host, needed, got: 'only you: see --approved' })
  const bytes = encodeDocument(approvalOf(release, workspace, days * 24, text(parsed, 'reason') ?? ''))
  return { approval: bytes.toString(), signatures: [await signer.sign(namespaces.approval, bytes)] }
}

/**
 * deploy.yaml as somebody needs it who has other ssh settings, other keys and no inventories: all hosts
 * written out, where they really are, with their keys as this person knows them.
 */
async function wholeConfig(
  { project }: Workspace,
  context: CliContext,
): Promise<{ config: string; hostKeys: string[] }> {
  const document = parseDocument(await readFile(project.file, 'utf8'))
  const limit = pLimit(8)
  const hostKeys: string[] = []
  const write = async (environment: string, name: string, entry: HostConfig) => {
    const { address, keys, jumps } = await whereIs(hostTarget(name, entry), context)
    if (jumps.length > 0)
      context.out.note(
        `  ${name} is reached through ${jumps.join(', ')} from here; the controller goes to it directly`,
      )
    hostKeys.push(...keys)
    const labels = typeof entry === 'string' ? undefined : entry.labels
    const own = labels ? { address, labels } : address
    document.setIn(['environments', environment, 'hosts', name], document.createNode(own))
  }
  for (const [environment, { inventory, hosts }] of Object.entries(project.config.environments)) {
    const others = inventory ? await readInventory(project, environment, context.env) : {}
    const all = Object.entries({ ...hosts, ...others })
    await Promise.all(all.map(([name, entry]) => limit(() => write(environment, name, entry))))
    if (inventory) document.deleteIn(['environments', environment, 'inventory'])
  }
  return { config: document.toString({ lineWidth: 0 }), hostKeys: [...new Set(hostKeys)] }
}

/** Only what the controller does not have. */
async function sendContent(client: ControllerClient, release: Release, note: (text: string) => void) {
  const { digest, bytes, signatures } = release
  const path = `/releases/${digest}`
  const body = { manifest: bytes.toString(), signatures }
  const { wantsContent } = await client.call<{ wantsContent: boolean }>({ method: 'PUT', path, body })
  if (!wantsContent) return
  note('  sending the release…')
  const dir = await mkdtemp(join(tmpdir(), 'deployctl-publish-'))
  try {
    await saveRelease(release, dir)
    const content = Readable.from(createReadStream(join(dir, savedNames.content)))
    await client.call({ method: 'PUT', path: `${path}/content`, stream: { type: packType, content } })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
