import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { Command } from '../cli/command.ts'
import {
  environmentFlag,
  hostFlag,
  hostKeyFlag,
  openWorkspace,
  signerFor,
  type Workspace,
} from '../cli/workspace.ts'
import { run } from '../process.ts'
import { openSession } from '../push/session.ts'
import { resolveTransport } from '../transport/connect.ts'
import { version } from '../../shared/version.ts'

type Finding = { ok: boolean; what: string; remedy?: string }

/** More than this and signatures will soon be refused as expired. */
const maxSkewMs = 30_000
const expiryWarningMs = 60 * 24 * 60 * 60 * 1000

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check this machine and every host, and say what to do about what is wrong',
  flags: [environmentFlag, hostFlag, hostKeyFlag],
  examples: ['deployctl doctor', 'deployctl doctor --json'],
  async run(parsed, context) {
    const { out } = context
    const findings: Finding[] = []
    const find = (finding: Finding) => {
      findings.push(finding)
      out.line(`${finding.ok ? '✔' : '✘'} ${finding.what}`)
      if (!finding.ok && finding.remedy) out.line(`    ${finding.remedy}`)
      out.event({ type: 'finding', ...finding })
    }
    const fail = (what: string, error: unknown) => {
      const failure = asDeployError(error)
      find({ ok: false, what: `${what}: ${failure.message}`, remedy: failure.nextStep })
    }
    find({ ok: true, what: `deployctl ${version}, Node ${process.version}` })
    const ssh = await run(['ssh', '-V'])
    find({
      ok: true,
      what: ssh.status === 0 ? ssh.stderr.trim() : 'no ssh here: your ssh configuration is not read',
    })
    const workspace = await openWorkspace(parsed, context).catch((error: unknown) => fail('project', error))
    if (workspace) {
      using _ = workspace.history
      find({ ok: true, what: `${workspace.project.file} is valid` })
      await checkKey(workspace, find, () => signerFor(parsed, context), context.configDir, fail)
      for (const target of workspace.target.hosts) await checkHost(target, workspace, find, fail)
    }
    const bad = findings.filter(({ ok }) => !ok).length
    if (bad > 0) throw new DeployError('E_DOCTOR', { count: bad })
    out.line('All is well.')
  },
}

type Find = (finding: Finding) => void
type Fail = (what: string, error: unknown) => void

async function checkKey(
  { fleet }: Workspace,
  find: Find,
  open: () => ReturnType<typeof signerFor>,
  configDir: string,
  fail: Fail,
) {
  try {
    const signer = await open()
    const entry = fleet.root.keys.find(({ key }) => key === signer.publicKey)
    find({
      ok: entry !== undefined,
      what: `signing key ${signer.fingerprint}${entry ? ` (${entry.owner}, ${entry.roles.join(', ')})` : ' is not in the fleet’s root'}`,
      remedy: 'Sign with a key that the root names (--key), or have one of its owners add yours.',
    })
  } catch (error) {
    fail('signing key', error)
  }
  const mode = statSync(join(configDir, 'signing_key'), { throwIfNoEntry: false })?.mode ?? 0
  if ((mode & 0o077) !== 0)
    find({
      ok: false,
      what: 'others can read your signing key',
      remedy: `chmod 600 ${join(configDir, 'signing_key')}`,
    })
  const left = Date.parse(fleet.root.expires) - Date.now()
  find({
    ok: left > expiryWarningMs,
    what: `fleet ${fleet.root.fleet.slice(0, 8)}, root version ${fleet.root.version}, valid until ${fleet.root.expires.slice(0, 10)}`,
    remedy: 'Make a new root before that day.',
  })
}

async function checkHost(
  target: Workspace['target']['hosts'][number],
  { sessions }: Workspace,
  find: Find,
  fail: Fail,
) {
  try {
    const { choice } = await resolveTransport(target, sessions)
    const beganMs = Date.now()
    const { client, hello } = await openSession(target, sessions)
    client.close()
    const skew = Date.parse(hello.now) - (beganMs + Date.now()) / 2
    find({ ok: true, what: `${target.name}: agent ${hello.agent} by ${choice.transport} (${choice.why})` })
    find({
      ok: Math.abs(skew) < maxSkewMs,
      what: `${target.name}: its clock is ${Math.abs(Math.round(skew / 1000))} s ${skew < 0 ? 'behind' : 'ahead'}`,
      remedy: 'Set the clock of the host or of this machine (NTP): orders are valid for minutes only.',
    })
  } catch (error) {
    fail(target.name, error)
  }
}
