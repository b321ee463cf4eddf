import { spawn } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import dgram from 'node:dgram'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { DeployError } from '../../../shared/errors.ts'
import type { SocketSpec } from '../../../shared/formats/sockets.ts'
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

const { _createSocketHandle: bindUdp } = dgram as unknown as {
  _createSocketHandle: (
    address: string,
    port: number,
    type: 'udp4' | 'udp6',
    fd: undefined,
    flags: number,
  ) => Handle | number
}

const defaultHost = '0.0.0.0'
/** What the kernel takes for the path of a Unix socket. */
const maxPathBytes = 107

/**
 * Listening sockets that outlive the instances they are passed to: while none runs, the kernel keeps
 * connections waiting instead of refusing them.
 */
export class HeldSockets {
  readonly #held = new Map<string, Held>()
  /** By slot: an instance's own, for the agent alone. */
  readonly #private = new Map<string, Handle>()
  /** Two slots of a service may start at once. */
  #turn: Promise<unknown> = Promise.resolve()

  /** Gives the file descriptor. @throws DeployError E_SERVICE_START when an address cannot be had */
  hold(service: string, spec: SocketSpec): Promise<number> {
    return this.#inTurn(() => this.#hold(`${service}/${spec.name}`, spec))
  }

  async #hold(name: string, spec: SocketSpec): Promise<number> {
    const key = JSON.stringify([spec.host ?? null, spec.port ?? null, spec.path ?? null, spec.type ?? 'tcp'])
    const held = this.#held.get(name)
    if (held?.key === key) return held.handle.fd
    const handle = await open(spec)
    if (spec.type !== 'udp') await listen(handle)
    const fresh = { handle, address: addressOf(spec, handle), key }
    held?.handle.close()
    this.#held.set(name, fresh)
    return handle.fd
  }

  holdPrivate(slot: string, path: string): Promise<number> {
    return this.#inTurn(async () => {
      const held = this.#private.get(slot)
      if (held) return held.fd
      if (Buffer.byteLength(path) > maxPathBytes)
        throw new DeployError('E_SERVICE_START', {
          why: `the path ${path} is too long for a private socket: give the agent a shorter --dir`,
        })
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      const handle = await open({ name: 'private', path })
      chmodSync(path, 0o600)
      await listen(handle)
      this.#private.set(slot, handle)
      return handle.fd
    })
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(change)
    this.#turn = next.catch(() => {})
    return next
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

async function open({ name, host = defaultHost, port = 0, path, type }: SocketSpec): Promise<Handle> {
  const { address, family } =
    path === undefined
      ? await lookup(host).catch(() => ({ address: host, family: 4 }))
      : { address: path, family: -1 }
  // A socket file that nobody listens on any more would be in the way.
  if (path !== undefined) rmSync(path, { force: true })
  const handle =
    type === 'udp'
      ? bindUdp(address, port, family === 6 ? 'udp6' : 'udp4', undefined, 0)
      : bind(address, path === undefined ? port : -1, family, undefined, 0)
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
