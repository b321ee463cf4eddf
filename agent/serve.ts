import { asDeployError, DeployError } from '../shared/errors.ts'
import { Agent } from './agent.ts'
import type { RunnerParts } from './activate/runner.ts'
import { listenForBridges, makeAcceptor } from './api/server.ts'
import { hostPaths, openHost, type Host } from './host.ts'
import type { ServiceManager } from './manager/manager.ts'
import { isRevokedLogin, loginFiles } from './trust/logins.ts'
import { tellSystemd } from './systemd-notify.ts'

export type ServeOptions = {
  dir: string
  /** `address:port` of the embedded SSH server; null without it. */
  ssh: string | null
  authorizedKeys: string
  /** Where bridges connect; null for `agent.sock` in its directory. */
  socket: string | null
  /** Who runs the services: our own supervisor, or systemd with the settings in this directory. */
  manager: { kind: 'embedded' } | { kind: 'systemd'; settings: string }
  /** How this program is called: it starts itself again as supervisor. */
  program: readonly string[]
  onStep?: RunnerParts['onStep']
}

/** Runs the agent until it is told to end; the services go on without it. */
export async function serve(options: ServeOptions): Promise<Agent> {
  const { dir, ssh, authorizedKeys, onStep } = options
  const host = await openHost(dir)
  const manager = await openManager(options)
  const agent = new Agent(host, manager, onStep)
  const accept = await makeAcceptor(agent)
  const socket = options.socket ?? hostPaths(dir).socket
  await listenForBridges(socket, accept)
  await agent.start()
  console.log(`agent of "${host.name}" on ${socket}`)
  if (ssh !== null) await serveSsh(host, ssh, authorizedKeys, accept)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
  await tellSystemd(process.env)
  return agent
}

async function openManager({ dir, manager, program }: ServeOptions): Promise<ServiceManager> {
  if (manager.kind === 'embedded') {
    const { embeddedManager } = await import('./manager/embedded/client.ts')
    return embeddedManager(dir, [...program, 'supervise', '--dir', dir])
  }
  const { systemdManager } = await import('./manager/systemd/manager.ts')
  return systemdManager({ dir, settings: manager.settings, path: process.env['PATH'] ?? '' })
}

async function serveSsh(
  { dir, roots }: Host,
  address: string,
  authorizedKeys: string,
  accept: Awaited<ReturnType<typeof makeAcceptor>>,
) {
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(address) ?? []
  if (!host) throw new DeployError('E_USAGE', { detail: `--ssh needs ADDRESS:PORT, got ${address}` })
  const { makeSshServer } = await import('./ssh/server.ts')
  const server = makeSshServer({
    hostKeyFile: `${dir}/ssh_host_key`,
    authorizedKeysFiles: [authorizedKeys, loginFiles(dir).allowed],
    isRevoked: (fingerprint) => isRevokedLogin(roots.root, fingerprint),
    accept,
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(asDeployError(error)))
    server.listen(Number(port), host, resolve)
  })
  const bound = server.address()
  console.log(`ssh on ${host}:${typeof bound === 'object' && bound ? bound.port : port}`)
}
