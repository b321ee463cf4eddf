import { asDeployError, DeployError } from '../shared/errors.ts'
import { Agent } from './agent.ts'
import type { RunnerParts } from './activate/runner.ts'
import { listenForBridges, makeAcceptor } from './api/server.ts'
import { hostPaths, openHost } from './host.ts'
import { embeddedManager } from './manager/embedded/client.ts'

export type ServeOptions = {
  dir: string
  /** `address:port` of the embedded SSH server; null without it. */
  ssh: string | null
  authorizedKeys: string
  /** How this program is called: it starts itself again as supervisor. */
  program: readonly string[]
  onStep?: RunnerParts['onStep']
}

/** Runs the agent until it is told to end; the services go on without it. */
export async function serve({ dir, ssh, authorizedKeys, program, onStep }: ServeOptions): Promise<void> {
  const host = await openHost(dir)
  const manager = embeddedManager(dir, [...program, 'supervise', '--dir', dir])
  const agent = new Agent(host, manager, onStep)
  const accept = await makeAcceptor(agent)
  const { socket } = hostPaths(dir)
  await listenForBridges(socket, accept)
  await agent.start()
  console.log(`agent of "${host.name}" on ${socket}`)
  if (ssh !== null) await serveSsh(dir, ssh, authorizedKeys, accept)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
}

async function serveSsh(
  dir: string,
  address: string,
  authorizedKeysFile: string,
  accept: Awaited<ReturnType<typeof makeAcceptor>>,
) {
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(address) ?? []
  if (!host) throw new DeployError('E_USAGE', { detail: `--ssh needs ADDRESS:PORT, got ${address}` })
  const { makeSshServer } = await import('./ssh/server.ts')
  const server = makeSshServer({ hostKeyFile: `${dir}/ssh_host_key`, authorizedKeysFile, accept })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(asDeployError(error)))
    server.listen(Number(port), host, resolve)
  })
  const bound = server.address()
  console.log(`ssh on ${host}:${typeof bound === 'object' && bound ? bound.port : port}`)
}
