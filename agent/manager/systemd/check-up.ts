import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { sha256Hex } from '../../../shared/documents/document.ts'
import { asDeployError } from '../../../shared/errors.ts'
import { installedParser } from '../../../shared/install/facts.ts'
import { unitNames } from '../../../shared/install/unit-names.ts'
import type { Finding } from '../../../shared/wire/api.ts'
import { readRegistration } from './registrations.ts'
import { changeUnit, showUnits } from './systemctl.ts'

/** A number that no probe has. */
const idleProbe = 99
const base = '/usr/lib/deployctl'
/** What `sshd -T` must say for the user deployctl. */
const sshdMust: readonly [string, RegExp][] = [
  ['forcecommand', /^\/usr\/lib\/deployctl\/bridge\.sh$/],
  ['authorizedkeysfile', /^none$/],
  ['authorizedkeyscommand', /^\/usr\/lib\/deployctl\/login\.sh %f$/],
  ['trustedusercakeys', /^\/dev\/null$/],
  ['authenticationmethods', /^publickey$/],
  ['exposeauthinfo', /^yes$/],
  ['permittty', /^no$/],
  ['permituserrc', /^no$/],
  ['allowtcpforwarding', /^no$/],
  ['allowstreamlocalforwarding', /^no$/],
  ['allowagentforwarding', /^no$/],
  ['x11forwarding', /^no$/],
  ['permittunnel', /^no$/],
]
/** A client may set these by itself on most systems; they do no harm. */
const harmlessEnv = /^(LANG|LC_[A-Z_*]+|COLORTERM|NO_COLOR|TZ)$/
const again = 'Run `deployctl host upgrade` for this host: it shows what it writes.'

/** What of setting up is not as it was any more. */
export async function checkUpSystemd(
  settings: string,
  hostKey: string,
  services: readonly string[],
): Promise<Finding[]> {
  const units = await Promise.all(services.map((service) => checkService(settings, service)))
  return [
    ...checkVersions(),
    ...checkFiles(settings),
    ...(await checkEnabled()),
    ...(await checkSshd(hostKey)),
    ...units.flat(),
  ]
}

function checkVersions(): Finding[] {
  const [current, good] = ['current', 'good'].map((name) =>
    existsSync(join(base, name)) ? readlinkSync(join(base, name)) : null,
  )
  if (current === good) return []
  return [
    {
      ok: false,
      what: `the agent ${current} is on trial; ${good} would come back if it failed`,
      remedy: again,
    },
  ]
}

/** Files that were written by setting up and are others now, by hand or by another program. */
function checkFiles(settings: string): Finding[] {
  const file = join(settings, 'installed.json')
  const value: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
  if (!installedParser.check(value))
    return [{ ok: false, what: `${file} is missing or damaged`, remedy: again }]
  const paths = Object.entries(value.files)
  const changed = paths.flatMap(([path, { sha256 }]): Finding[] => {
    const now = digestOf(path)
    if (now === sha256 || now === 'unreadable') return []
    return [{ ok: false, what: `${path} ${now === null ? 'is gone' : 'was changed by hand'}`, remedy: again }]
  })
  const dropIns = paths.flatMap(([path]): Finding[] =>
    existsSync(`${path}.d`) && readdirSync(`${path}.d`).length > 0
      ? [{ ok: true, what: `${path}.d adds to it: ${readdirSync(`${path}.d`).join(', ')}` }]
      : [],
  )
  const all = { ok: true, what: `all ${paths.length} files of setting up are as they were written` }
  return [...(changed.length > 0 ? changed : [all]), ...dropIns]
}

function digestOf(path: string): string | null {
  try {
    return sha256Hex(readFileSync(path))
  } catch (error) {
    // polkit's rules are for polkit alone; whether they work is tried below.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'unreadable'
  }
}

async function checkEnabled(): Promise<Finding[]> {
  const { stdout } = await output('systemctl', ['is-enabled', 'deploy-agent.service', 'deploy-boot.service'])
  const isEnabled = stdout.trim() === 'enabled\nenabled'
  return [
    {
      ok: isEnabled,
      what: isEnabled
        ? 'the agent and what was committed start at boot'
        : 'the agent or what was committed does not start at boot',
      remedy: 'On the host: systemctl enable deploy-agent deploy-boot',
    },
  ]
}

/** The effective settings of sshd for whoever logs in as deployctl. */
async function checkSshd(hostKey: string): Promise<Finding[]> {
  // With a key of our own, since root's are not ours to read.
  const args = ['-T', '-C', 'user=deployctl,host=localhost,addr=127.0.0.1', '-h', hostKey]
  const { status, stdout, stderr } = await output('sshd', args)
  if (status !== 0)
    return [
      {
        ok: true,
        what: `sshd's settings can only be read by root here (${stderr.trim().split('\n').at(-1)})`,
      },
    ]
  const lines = stdout
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const)
  const wrong = sshdMust.filter(
    ([name, good]) => !lines.some(([key, value]) => key === name && good.test(value)),
  )
  const loose = lines
    .filter(([key]) => key === 'acceptenv')
    .flatMap(([, value]) => value.split(' '))
    .filter((name) => !harmlessEnv.test(name))
  const findings = [
    ...wrong.map(([name]) => ({
      ok: false,
      what: `sshd does not have our ${name} for the user deployctl`,
      remedy:
        'Something before /etc/ssh/sshd_config.d/50-deployctl.conf sets it: sshd -T -C user=deployctl,host=x,addr=127.0.0.1',
    })),
    ...loose.map((name) => ({
      ok: false,
      what: `sshd lets clients set ${name} (AcceptEnv)`,
      remedy: 'The bridge drops it; still, leave only LANG and LC_*.',
    })),
  ]
  return findings.length > 0
    ? findings
    : [{ ok: true, what: 'sshd gives the user deployctl the bridge and nothing else' }]
}

async function checkService(settings: string, service: string): Promise<Finding[]> {
  const names = unitNames(service)
  try {
    const { sockets } = readRegistration(settings, service)
    const findings: Finding[] = []
    // It never runs, so this is harmless, and it needs the same leave as starting.
    await changeUnit('stop', names.probe(idleProbe))
    findings.push({ ok: true, what: `${service}: polkit lets the agent start and stop its slots` })
    if (sockets.length === 0) return findings
    const [socket] = await showUnits([names.socket])
    const isOpen = socket?.active === 'active'
    const what = `${service}: ${names.socket} ${isOpen ? 'listens' : `is ${socket?.active}`}`
    return [...findings, { ok: isOpen, what, remedy: `On the host: systemctl start ${names.socket}` }]
  } catch (error) {
    const { message, nextStep } = asDeployError(error)
    return [{ ok: false, what: `${service}: ${message}`, remedy: nextStep }]
  }
}

function output(
  command: string,
  args: readonly string[],
): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : 1, stdout, stderr: stderr || (error?.message ?? '') })
    })
  })
}
