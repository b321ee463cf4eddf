import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DeployError, asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { CheckUp, type Finding } from '../../shared/wire/api.ts'
import type { Command } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import {
  environmentFlag,
  hostFlag,
  onFlag,
  hostKeyFlag,
  openWorkspace,
  signerFor,
  type Workspace,
} from '../cli/workspace.ts'
import type { HostTarget } from '../config/target.ts'
import { run } from '../process.ts'
import { openSession, type SessionOptions } from '../push/session.ts'
import { resolveTransport } from '../transport/connect.ts'
import { version } from '../../shared/version.ts'

const checkUpParser = parserOf(CheckUp)
/** More than this and signatures will soon be refused as expired. */
const maxSkewMs = 30_000
const expiryWarningMs = 60 * 24 * 60 * 60 * 1000

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check this machine and every host, and say what to do about what is wrong',
  args: [{ arg: '[host]', summary: 'only this host; all of the environment when left out' }],
  flags: [environmentFlag, hostFlag, onFlag, hostKeyFlag],
  examples: ['deployctl doctor', 'deployctl doctor web1', 'deployctl doctor --json'],
  async run(parsed, context) {
    const { out } = context
    const findings: Finding[] = []
    const { find, fail } = findingsTo(findings, context)
    const [host] = parsed.args
    if (host !== undefined) parsed.flags['host'] = host
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
      for (const target of workspace.target.hosts) await examine(target, workspace.sessions, find, fail)
    }
    const bad = findings.filter(({ ok }) => !ok).length
    if (bad > 0) throw new DeployError('E_DOCTOR', { count: bad })
    out.line('All is well.')
  },
}

type Find = (finding: Finding) => void
type Fail = (what: string, error: unknown) => void

function findingsTo(findings: Finding[], { out }: CliContext): { find: Find; fail: Fail } {
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
  return { find, fail }
}

/** One host's findings alone: how setting it up ends. */
export async function checkHost(
  target: HostTarget,
  sessions: SessionOptions,
  context: CliContext,
): Promise<void> {
  const findings: Finding[] = []
  const { find, fail } = findingsTo(findings, context)
  await examine(target, sessions, find, fail)
  const bad = findings.filter(({ ok }) => !ok).length
  if (bad > 0) throw new DeployError('E_DOCTOR', { count: bad })
}

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
    remedy: 'Renew it before that day: deployctl trust renew',
  })
}

async function examine(target: HostTarget, sessions: SessionOptions, find: Find, fail: Fail) {
  const { name } = target
  try {
    const { choice } = await resolveTransport(target, sessions)
    const beganMs = Date.now()
    const { client, hello } = await openSession(target, sessions)
    const skew = Date.parse(hello.now) - (beganMs + Date.now()) / 2
    const { findings } = await client.get('/v1/checkup', checkUpParser).finally(() => client.close())
    find({ ok: true, what: `${name}: agent ${hello.agent} by ${choice.transport} (${choice.why})` })
    find({
      ok: hello.agent === version,
      what: `${name}: its agent is ${hello.agent === version ? 'of this version' : `${hello.agent}, deployctl is ${version}`}`,
      remedy: `deployctl host upgrade ${name}, or upgrade deployctl here.`,
    })
    find({
      ok: Math.abs(skew) < maxSkewMs,
      what: `${name}: its clock is ${Math.abs(Math.round(skew / 1000))} s ${skew < 0 ? 'behind' : 'ahead'}`,
      remedy: 'Set the clock of the host or of this machine (NTP): orders are valid for minutes only.',
    })
    for (const finding of findings) find({ ...finding, what: `${name}: ${finding.what}` })
  } catch (error) {
    fail(name, error)
  }
}
