import type { RootChain } from '../wire/api.ts'
import type { HostFacts } from './facts.ts'
import { planFiles, type FileStep, type Problem } from './managed-files.ts'
import type { Step } from './steps.ts'
import type { Templates } from './templates.ts'

export const hostFilePaths = {
  agentUnit: '/etc/systemd/system/deploy-agent.service',
  fallbackUnit: '/etc/systemd/system/deploy-agent-fallback.service',
  bootUnit: '/etc/systemd/system/deploy-boot.service',
  bootScript: '/usr/lib/deployctl/boot.sh',
  fallbackScript: '/usr/lib/deployctl/fall-back.sh',
  bridgeScript: '/usr/lib/deployctl/bridge.sh',
  loginScript: '/usr/lib/deployctl/login.sh',
  sshd: '/etc/ssh/sshd_config.d/50-deployctl.conf',
} as const satisfies Partial<Record<keyof Templates, string>>

/** What a host is to become. */
export type Wanted = {
  /** `VERSION-DIGEST` of the agent, unpacked under /usr/lib/deployctl/versions. */
  version: string
  templates: Templates
  /** Absent for a package, which belongs to nobody's fleet yet. */
  trust?: { name: string; fleet: string; roots: RootChain }
  /** Public keys that may log in as deployctl. */
  loginKeys: readonly string[]
}

/** What the tests boot; nothing older was tried. */
const oldestSystemd = 252
const oldestGlibc = 2.28
/** The first polkit whose rules can tell one unit from another. */
const oldestPolkit = 106
const needKilobytes = 400 * 1024

/** Node's processor architectures by what `uname -m` says. */
export const architectures: Readonly<Record<string, 'x64' | 'arm64'>> = {
  x86_64: 'x64',
  amd64: 'x64',
  aarch64: 'arm64',
  arm64: 'arm64',
}

/** Why a host cannot be set up as it is, each with what to do about it. */
export function unfitness(facts: HostFacts): Problem[] {
  const problems: Problem[] = []
  const need = (ok: boolean, what: string, remedy: string) => ok || problems.push({ what, remedy })
  const instead =
    'Where this cannot change, run the agent with its own SSH server and supervisor: docs/hosts.md.'
  need(
    facts.kernel === 'Linux',
    `it runs ${facts.kernel || 'no known system'}`,
    'Only Linux hosts can be set up.',
  )
  need(
    architectures[facts.arch] !== undefined,
    `its processor is ${facts.arch || 'unknown'}`,
    'Agents are built for x86_64 and aarch64.',
  )
  need(facts.systemd !== null, 'it has no systemd', instead)
  need(
    facts.systemd === null || facts.systemd >= oldestSystemd,
    `systemd ${facts.systemd} is too old: ${oldestSystemd} is needed (${facts.os})`,
    `Upgrade the system. ${instead}`,
  )
  need(
    facts.glibc !== null && facts.glibc >= oldestGlibc,
    facts.glibc === null
      ? 'it has no GNU C library'
      : `its GNU C library ${facts.glibc} is older than ${oldestGlibc}`,
    'Node does not run there; upgrade the system.',
  )
  need(
    facts.has.has('libstdc++.so.6'),
    'libstdc++ is missing',
    'apt-get install libstdc++6, or dnf install libstdc++',
  )
  need(
    facts.polkit !== null,
    'polkit is missing: the agent would need root to start services',
    'apt-get install polkitd, or dnf install polkit',
  )
  need(
    facts.polkit === null || facts.polkit >= oldestPolkit,
    `polkit 0.${facts.polkit} cannot tell one unit from another (${facts.os})`,
    `Upgrade the system. ${instead}`,
  )
  need(facts.has.has('sshd'), 'there is no sshd', 'apt-get install openssh-server')
  need(
    !facts.has.has('sshd') || facts.has.has('sshd-include'),
    '/etc/ssh/sshd_config does not include /etc/ssh/sshd_config.d',
    'Put this line at its top: Include /etc/ssh/sshd_config.d/*.conf',
  )
  for (const tool of ['tar', 'gzip', 'useradd'])
    need(facts.has.has(tool), `${tool} is missing`, `Install ${tool}.`)
  need(
    facts.versions.length > 0 || facts.freeKilobytes >= needKilobytes,
    `only ${Math.round(facts.freeKilobytes / 1024)} MB are free under /usr`,
    `Make room: ${needKilobytes / 1024} MB are needed.`,
  )
  return problems
}

/** All of ours on a host but the services. */
export function hostFiles(templates: Templates): FileStep[] {
  return Object.entries(hostFilePaths).map(([name, path]) => ({
    do: 'file',
    path,
    mode: path.endsWith('.sh') ? 0o755 : 0o644,
    content: templates[name as keyof typeof hostFilePaths],
  }))
}

/** What has to be done on a host, and what stands in the way. No steps: all is as it should be. */
export function planHost(facts: HostFacts, wanted: Wanted): { steps: Step[]; problems: Problem[] } {
  const { version, trust, loginKeys, templates } = wanted
  const problems = unfitness(facts)
  if (trust && facts.fleet !== null && facts.fleet !== trust.fleet)
    problems.push({
      what: `it belongs to another fleet (${facts.fleet.slice(0, 8)})`,
      remedy: 'Remove it there first: deployctl host remove, by somebody of that fleet.',
    })
  if (trust && facts.name !== null && facts.name !== trust.name)
    problems.push({
      what: `it is called "${facts.name}" already`,
      remedy: `Use that name: --name ${facts.name}`,
    })
  const files = planFiles(facts, hostFiles(templates))
  problems.push(...files.problems)
  // Later roots reach it by a push, each signed by the one before.
  const isTrusted = trust === undefined || facts.fleet === trust.fleet
  const isCurrent = facts.current === `versions/${version}` && facts.active.has('deploy-agent.service')
  const isUnitChanged = files.steps.some(({ path }) => path === hostFilePaths.agentUnit)
  const atBoot = ['deploy-boot.service', 'deploy-agent.service']
  const written = [
    ...accounts(facts),
    ...directories(facts),
    ...files.steps.map((step) =>
      step.path === hostFilePaths.sshd ? { ...step, verify: ['sshd', '-t'] } : step,
    ),
    ...keys(facts, loginKeys),
  ]
  const started: Step[] = [
    ...(atBoot.every((unit) => facts.enabled.has(unit)) ? [] : [run('systemctl', 'enable', ...atBoot)]),
    ...(facts.current === null ? [link('current', version), link('good', version)] : []),
    ...(trust && !isTrusted ? [{ do: 'trust' as const, host: trust.name, roots: trust.roots }] : []),
    ...(trust && !(isCurrent && isTrusted && !isUnitChanged) ? [{ do: 'agent' as const, version }] : []),
  ]
  if (written.length + started.length === 0) return { steps: [], problems }
  // Whoever was cut off may have written all files and told nobody.
  const told = [
    run('systemctl', 'daemon-reload'),
    run('systemctl', 'try-reload-or-restart', facts.sshUnit ?? 'ssh.service'),
  ]
  return { steps: [...written, ...told, ...started], problems }
}

const run = (...argv: string[]): Step => ({ do: 'run', argv })

const link = (name: string, version: string): Step => ({
  do: 'link',
  path: `/usr/lib/deployctl/${name}`,
  target: `versions/${version}`,
})

function accounts({ accounts: known }: HostFacts): Step[] {
  const has = (name: string) => known.includes(name)
  const own: Step[][] = [
    // sshd runs the bridge through a shell, so this one needs one.
    has('deployctl') ? [] : [group('deployctl'), user('deployctl', '/usr/lib/deployctl', '/bin/sh')],
    has('deploy-agent') ? [] : [user('deploy-agent', '/var/lib/deployctl', '/usr/sbin/nologin')],
  ]
  return own.flat()
}

const group = (name: string): Step => ({ do: 'group', name })
const user = (name: string, home: string, shell: string): Step => ({
  do: 'user',
  name,
  group: 'deployctl',
  home,
  shell,
})

function directories({ files }: HostFacts): Step[] {
  const wanted: Step[] = [
    { do: 'directory', path: '/etc/deployctl', mode: 0o755 },
    { do: 'directory', path: '/etc/deployctl/services', mode: 0o755 },
    { do: 'directory', path: '/etc/deployctl/secrets', mode: 0o700 },
    { do: 'directory', path: '/var/lib/deployctl', mode: 0o711, owner: 'deploy-agent' },
  ]
  return wanted.filter((step) => step.do === 'directory' && !files.has(step.path))
}

/** sshd refuses every key when a file of revocations is missing, so it is there from the start. */
function keys({ files, keys: known }: HostFacts, loginKeys: readonly string[]): Step[] {
  const bare = (line: string) => line.split(' ').slice(0, 2).join(' ')
  const fresh = loginKeys.filter((line) => !known.some((one) => one.includes(bare(line))))
  const seeds: [string, string][] = [
    ['revoked_keys', ''],
    ['user_ca_keys', ''],
    ['principals', '# Names in certificates that may log in, one a line.\n'],
  ]
  const missing = seeds.filter(([name]) => !files.has(`/etc/deployctl/${name}`))
  return [
    ...missing.map(([name, content]): Step => ({
      do: 'seed',
      path: `/etc/deployctl/${name}`,
      mode: 0o644,
      content,
    })),
    ...(fresh.length > 0
      ? [{ do: 'lines' as const, path: '/etc/deployctl/authorized_keys', mode: 0o644, lines: fresh }]
      : []),
  ]
}

/** Every path whose state the plans above want to know. */
export const hostPathsLookedAt: readonly string[] = [
  ...Object.values(hostFilePaths),
  '/etc/deployctl',
  '/etc/deployctl/services',
  '/etc/deployctl/secrets',
  '/var/lib/deployctl',
  '/etc/deployctl/revoked_keys',
  '/etc/deployctl/user_ca_keys',
  '/etc/deployctl/principals',
]
