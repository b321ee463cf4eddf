import { spawn } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { chmodSync, rmSync } from 'node:fs'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { DeployError } from '../../../shared/errors.ts'
import type { SocketSpec } from '../../../shared/formats/service-spec.ts'
import type { Address } from '../manager.ts'

type Handle = { fd: number; close(): void; getsockname(out: { port?: number }): number }
type Held = { handle: Handle; address: Address; key: string }

// Public API binds only together with accepting, and then the supervisor would take the connections.
const { _createServerHandle: bind } = net as unknown as {
  _createServerHandle: (
    address: string,
    port: number,
    family: number,
    fd: undefined,
    flags: number,
  ) => Handle | number
}

const defaultHost = '0.0.0.0'

/**
 * Listening sockets that outlive the instances they are passed to: while none runs, the kernel keeps
 * connections waiting instead of refusing them.
 */
export class HeldSockets {
  readonly #held = new Map<string, Held>()

  /** @throws DeployError E_SERVICE_START when an address cannot be had */
  async hold(service: string, spec: SocketSpec): Promise<Held> {
    const name = `${service}/${spec.name}`
    const key = JSON.stringify([spec.host ?? null, spec.port ?? null, spec.path ?? null])
    const held = this.#held.get(name)
    if (held?.key === key) return held
    const handle = await open(spec)
    await listen(handle)
    const fresh = { handle, address: addressOf(spec, handle), key }
    held?.handle.close()
    this.#held.set(name, fresh)
    return fresh
  }

  addresses(service: string): Record<string, Address> {
    const own = [...this.#held].filter(([name]) => name.startsWith(`${service}/`))
    return Object.fromEntries(own.map(([name, { address }]) => [name.slice(service.length + 1), address]))
  }

  /** Lets go of a service's sockets that no instance uses any more. */
  release(service: string, used: ReadonlySet<string>): void {
    for (const [name, { handle }] of this.#held) {
      if (!name.startsWith(`${service}/`) || used.has(name.slice(service.length + 1))) continue
      handle.close()
      this.#held.delete(name)
    }
  }
}

async function open({ name, host = defaultHost, port = 0, path }: SocketSpec): Promise<Handle> {
  const { address, family } =
    path === undefined
      ? await lookup(host).catch(() => ({ address: host, family: 4 }))
      : { address: path, family: -1 }
  // A socket file that nobody listens on any more would be in the way.
  if (path !== undefined) rmSync(path, { force: true })
  const handle = bind(address, path === undefined ? port : -1, family, undefined, 0)
  const refuse = (why: string) =>
    new DeployError('E_SERVICE_START', {
      why: `the socket "${name}" cannot listen on ${path ?? `${host}:${port}`}: ${why}`,
    })
  if (typeof handle === 'number') throw refuse(getSystemErrorName(handle))
  if (path !== undefined) chmodSync(path, 0o666)
  // libuv keeps EADDRINUSE to itself until listen; the socket is then bound to nothing.
  else if (portOf(handle) === 0 || (port !== 0 && portOf(handle) !== port)) {
    handle.close()
    throw refuse('another program listens there already')
  }
  return handle
}

function portOf(handle: Handle): number {
  const name: { port?: number } = {}
  handle.getsockname(name)
  return name.port ?? 0
}

const addressOf = (spec: SocketSpec, handle: Handle): Address =>
  spec.path === undefined ? { host: spec.host ?? defaultHost, port: portOf(handle) } : { path: spec.path }

/** listen(2) on the shared socket, by a child that ends at once: Node can only listen and accept. */
async function listen(handle: Handle): Promise<void> {
  const script = "require('node:net').createServer().listen({ fd: 3, backlog: 511 }, () => process.exit(0))"
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'ignore', handle.fd] })
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', resolve)
  })
  if (code === 0) return
  handle.close()
  throw new DeployError('E_SERVICE_START', { why: 'another program listens on its address already' })
}
