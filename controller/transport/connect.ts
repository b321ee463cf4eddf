import { join } from 'node:path'
import pRetry, { AbortError } from 'p-retry'
import { DeployError } from '../../shared/errors.ts'
import { sshAlgorithms } from '../../shared/ssh-algorithms.ts'
import { hostTarget, type HostTarget } from '../config/target.ts'
import { chooseTransport, type TransportChoice } from './choose.decide.ts'
import { atDoor } from './doors.ts'
import { readKnownHosts } from './host-keys.ts'
import { hostName, judgeHostKey, knownKeys, knownKeyTypes, type KnownHosts } from './known-hosts.ts'
import { connectSsh2, type Ssh2Connection } from './ssh2-client.ts'
import { identityFacts, sshSettings, type SshSettings } from './ssh-settings.ts'
import { SystemSsh, systemSshArgv } from './system-ssh.ts'
import type { Asking, Connection } from './transport.ts'

export type ConnectOptions = {
  configDir: string
  env: NodeJS.ProcessEnv
  asking: Asking
  /** A fingerprint given with --host-key. */
  hostKey?: string | undefined
}

const retries = 2
const firstRetryMs = 300
/** Trying again does not help with these. */
const finalReasons = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EACCES/

/** Our own known_hosts, beside those of the user's ssh. */
export const ownKnownHosts = (configDir: string) => join(configDir, 'known_hosts')

/**
 * An SSH connection to a host by the user's own settings. A connection that breaks before it stands is
 * tried again a little later, each client at another moment.
 * @throws DeployError E_SSH_CONFIG, E_SSH_CONNECT, E_SSH_AUTH, E_HOST_KEY_*
 */
export async function connectHost(target: HostTarget, options: ConnectOptions): Promise<Connection> {
  const { choice, settings, known } = await resolveTransport(target, options)
  if (choice.transport === 'system') {
    const files = [...settings.knownHostsFiles, ownKnownHosts(options.configDir)]
    return new SystemSsh(systemSshArgv(target, files, sshConfig(options.env)), settings.host)
  }
  const door = settings.proxyJump[0] ?? `${settings.host}:${settings.port}`
  return pRetry(() => atDoor(door, () => connectOnce(target, settings, known, options)), {
    retries,
    minTimeout: firstRetryMs,
    randomize: true,
    shouldRetry: ({ error }) =>
      error instanceof DeployError && error.code === 'E_SSH_CONNECT' && !finalReasons.test(error.message),
  }).catch((error: unknown) => {
    throw error instanceof AbortError ? error.originalError : error
  })
}

/** Another file than ~/.ssh/config, as `ssh -F`. */
const sshConfig = (env: NodeJS.ProcessEnv) => env['DEPLOYCTL_SSH_CONFIG'] ?? null

/** Which transport a host gets, and why. */
export async function resolveTransport(
  target: HostTarget,
  { configDir, env }: Pick<ConnectOptions, 'configDir' | 'env'>,
): Promise<{ choice: TransportChoice; settings: SshSettings; known: KnownHosts }> {
  const settings = await sshSettings(target, env, sshConfig(env))
  const known = await readKnownHosts([...settings.knownHostsFiles, ownKnownHosts(configDir)])
  const lookup = lookupName(settings)
  const isPlain = knownKeyTypes(known, ...lookup).length > 0
  const isCertified = judgeAuthority(known, ...lookup)
  const choice = chooseTransport({
    wanted: target.transport,
    ...settings,
    ...identityFacts(settings),
    hasAgent: settings.agentSocket !== null,
    certifiedHostOnly: isCertified && !isPlain,
    ownKex: sshAlgorithms.kex,
  })
  return { choice, settings, known }
}

function judgeAuthority(known: KnownHosts, host: string, port: number): boolean {
  const authorities = known
    .filter(({ marker }) => marker === '@cert-authority')
    .map((line) => ({ ...line, marker: '' as const }))
  return authorities.some(
    ({ type, key }) => judgeHostKey(authorities, host, port, type, key).verdict === 'known',
  )
}

/** The name a host is known by: an alias stands alone, as on port 22. */
/** Where a host really is, by this person's ssh settings, and the keys that are known for it. */
export async function whereIs(
  target: HostTarget,
  options: Pick<ConnectOptions, 'configDir' | 'env'>,
): Promise<{ address: string; jumps: string[]; keys: string[] }> {
  const { settings, known } = await resolveTransport(target, options)
  const { host, port, user, proxyJump } = settings
  const keys = knownKeys(known, ...lookupName(settings))
  const bracketed = host.includes(':') ? `[${host}]` : host
  return {
    address: `${user}@${bracketed}:${port}`,
    jumps: proxyJump,
    keys: keys.map(({ type, key }) => `${hostName(host, port)} ${type} ${key}`),
  }
}

const lookupName = ({ host, port, hostKeyAlias }: SshSettings): [string, number] =>
  hostKeyAlias === null ? [host, port] : [hostKeyAlias, 22]

async function connectOnce(
  target: HostTarget,
  settings: SshSettings,
  known: KnownHosts,
  options: ConnectOptions,
): Promise<Connection> {
  const { asking, configDir, env, hostKey = null } = options
  const ownFile = ownKnownHosts(configDir)
  const hops: Ssh2Connection[] = []
  const check = ([host, port]: [string, number], name: string, expected: string | null) => ({
    name,
    host,
    port,
    known,
    ownFile,
    expected,
    asking,
  })
  try {
    for (const jump of settings.proxyJump) {
      const hop = await sshSettings(hostTarget(jump, jump), env, sshConfig(env))
      const user = jump.includes('@') ? hop.user : (env['USER'] ?? hop.user)
      const through = await hops.at(-1)?.forward(hop.host, hop.port)
      const own = {
        settings: { ...hop, user },
        check: check(lookupName(hop), hostName(hop.host, hop.port), null),
        asking,
      }
      hops.push(await connectSsh2({ ...own, ...(through && { through }) }))
    }
    const through = await hops.at(-1)?.forward(settings.host, settings.port)
    const own = { settings, check: check(lookupName(settings), target.name, hostKey), asking }
    const connection = await connectSsh2({ ...own, ...(through && { through }) })
    return {
      openChannel: () => connection.openChannel(),
      closed: connection.closed,
      exec: (command) => connection.exec(command),
      bytes: () => (hops[0] ?? connection).bytes(),
      close: () => {
        connection.close()
        for (const hop of hops.toReversed()) hop.close()
      },
    }
  } catch (error) {
    for (const hop of hops.toReversed()) hop.close()
    throw error
  }
}
