import { existsSync, readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import type { HostTarget } from '../config/target.ts'
import { run } from '../process.ts'

/** The effective settings of the user's ssh for one host, as far as we use them. */
export type SshSettings = {
  /** False when they are defaults, since this machine has no ssh. */
  hasSystemSsh: boolean
  host: string
  port: number
  user: string
  /** The name that known_hosts files use, instead of host and port. */
  hostKeyAlias: string | null
  identityFiles: string[]
  identitiesOnly: boolean
  agentSocket: string | null
  knownHostsFiles: string[]
  /** `user@host:port` of each hop, nearest first. */
  proxyJump: string[]
  proxyCommand: string | null
  certificateFiles: string[]
  pkcs11: boolean
  kex: string[]
}

const noFile = 'none'

/**
 * Asks `ssh -G`, the only reader of ssh_config that knows all of it. Where there is no ssh, its
 * defaults apply.
 * @param configFile instead of the user's own, as `ssh -F`
 * @throws DeployError E_SSH_CONFIG
 */
export async function sshSettings(
  target: Pick<HostTarget, 'host' | 'port' | 'user' | 'identity'>,
  env: NodeJS.ProcessEnv,
  configFile: string | null = null,
): Promise<SshSettings> {
  const { host, port, user, identity } = target
  if (host.startsWith('-'))
    throw new DeployError('E_SSH_CONFIG', { host, why: 'a host cannot begin with "-"' })
  const options = [
    ...(configFile === null ? [] : ['-F', configFile]),
    ...(port === null ? [] : ['-p', String(port)]),
    ...(identity === null ? [] : ['-i', identity]),
  ]
  const { status, stdout, stderr } = await run(
    ['ssh', '-G', ...(user === '' ? [] : ['-l', user]), ...options, '--', host],
    { env },
  )
  if (status === null) return withoutSsh(target, env)
  if (status !== 0)
    throw new DeployError('E_SSH_CONFIG', { host, why: stderr.trim().split('\n').at(-1) ?? '' })
  return parseSettings(stdout, env)
}

/** @param text what `ssh -G` printed: one keyword and its value a line, some keywords many times */
export function parseSettings(text: string, env: NodeJS.ProcessEnv): SshSettings {
  const values = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^(\S+) (.*)$/.exec(line) ?? []
    values.set(key.toLowerCase(), [...(values.get(key.toLowerCase()) ?? []), value])
  }
  const all = (key: string) => (values.get(key) ?? []).filter((value) => value !== noFile)
  const one = (key: string) => all(key)[0] ?? null
  const files = (key: string) =>
    all(key)
      .flatMap((value) => value.split(' '))
      .map(expandHome)
  const agent = one('identityagent') ?? 'SSH_AUTH_SOCK'
  return {
    hasSystemSsh: true,
    host: one('hostname') ?? '',
    port: Number(one('port') ?? 22),
    user: one('user') ?? userInfo().username,
    hostKeyAlias: one('hostkeyalias'),
    identityFiles: files('identityfile'),
    identitiesOnly: one('identitiesonly') === 'yes',
    agentSocket: values.get('identityagent')?.[0] === noFile ? null : agentSocket(agent, env),
    knownHostsFiles: [...files('userknownhostsfile'), ...files('globalknownhostsfile')],
    proxyJump: one('proxyjump')?.split(',') ?? [],
    proxyCommand: one('proxycommand'),
    certificateFiles: files('certificatefile'),
    pkcs11: one('pkcs11provider') !== null,
    kex: one('kexalgorithms')?.split(',') ?? [],
  }
}

function agentSocket(value: string, env: NodeJS.ProcessEnv): string | null {
  if (value === 'SSH_AUTH_SOCK') return env['SSH_AUTH_SOCK'] ?? null
  return value.startsWith('$') ? (env[value.slice(1)] ?? null) : expandHome(value)
}

const expandHome = (path: string) => path.replace(/^~(?=\/)/, homedir())

function withoutSsh(
  { host, port, user, identity }: Parameters<typeof sshSettings>[0],
  env: NodeJS.ProcessEnv,
): SshSettings {
  const home = join(homedir(), '.ssh')
  const names = ['id_ed25519', 'id_ecdsa', 'id_rsa']
  return {
    hasSystemSsh: false,
    host,
    port: port ?? 22,
    user: user || userInfo().username,
    hostKeyAlias: null,
    identityFiles: identity === null ? names.map((name) => join(home, name)) : [identity],
    identitiesOnly: identity !== null,
    agentSocket: env['SSH_AUTH_SOCK'] ?? null,
    knownHostsFiles: [join(home, 'known_hosts'), '/etc/ssh/ssh_known_hosts'],
    proxyJump: [],
    proxyCommand: null,
    certificateFiles: [],
    pkcs11: false,
    kex: [],
  }
}

/** What of the settings' files is really there, for the choice of transport. */
export function identityFacts({ identityFiles }: SshSettings): {
  plain: string[]
  hardware: string[]
  certified: string[]
} {
  const there = identityFiles.filter((file) => existsSync(file))
  const isHardware = (file: string) => {
    if (existsSync(`${file}.pub`)) return readFileSync(`${file}.pub`, 'utf8').startsWith('sk-')
    return file.endsWith('_sk')
  }
  return {
    plain: there.filter((file) => !isHardware(file)),
    hardware: there.filter(isHardware),
    certified: there.filter((file) => existsSync(`${file}-cert.pub`)),
  }
}
