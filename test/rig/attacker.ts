import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { loadProject } from '../../controller/config/load.ts'
import { hostTarget, resolveTarget } from '../../controller/config/target.ts'
import { History } from '../../controller/history/history.ts'
import { openSession, readState, type Session } from '../../controller/push/session.ts'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { asDeployError } from '../../shared/errors.ts'
import type { Approval } from '../../shared/formats/approval.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Environment, Order } from '../../shared/formats/order.ts'
import type { Root } from '../../shared/formats/root.ts'
import { Type, parserOf } from '../../shared/schema.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import { packType, type OrderRequest } from '../../shared/wire/api.ts'
import { fleetOf, signerOf } from './host.ts'
import type { Rig } from './rig.ts'

const anything = parserOf(Type.Unknown())

export type Change = Partial<Omit<Order, 'hosts'>> & { host?: Partial<Order['hosts'][number]> }

/** Somebody who may log in, speaks the protocol to the letter, and signs with whatever they got hold of. */
export class Attacker {
  readonly #rig: Rig
  readonly environment: Environment

  private constructor(rig: Rig, environment: Environment) {
    this.#rig = rig
    this.environment = environment
  }

  static async of(rig: Rig): Promise<Attacker> {
    const { config } = await loadProject(rig.project)
    return new Attacker(rig, resolveTarget(config, undefined).environment)
  }

  get root(): Root {
    return fleetOf(this.#rig.home).root
  }

  own(): Promise<Signer> {
    return signerOf(this.#rig.home)
  }

  /** Over a connection of its own, which is closed again. */
  async with<T>(name: string, act: (session: Session) => Promise<T>): Promise<T> {
    using history = new History(':memory:')
    const { home } = this.#rig
    const target = {
      ...hostTarget(name, `me@127.0.0.1:${this.#rig.host(name).port}`),
      identity: home.loginKey,
    }
    const { configDir, env } = home
    const session = await openSession(target, { configDir, env, asking: {}, fleet: fleetOf(home), history })
    try {
      return await act(session)
    } finally {
      session.client.close()
    }
  }

  /** An order that would be taken, but for what is changed. */
  async order(name: string, { host, ...change }: Change = {}): Promise<Order> {
    const state = await this.with(name, (session) => readState(session, 'echo'))
    const { root } = this
    const now = Date.now()
    return {
      spec: 'deployctl/order/v1',
      fleet: root.fleet,
      epoch: root.epoch,
      root: root.version,
      opId: randomBytes(16).toString('hex'),
      action: 'deploy',
      service: 'echo',
      release: state.previous ?? state.active ?? '',
      environment: {
        name: this.environment.name,
        digest: sha256Hex(encodeDocument(this.environment)),
      },
      strategy: 'auto',
      confirmSeconds: 0,
      notBefore: new Date(now).toISOString(),
      expires: new Date(now + 300_000).toISOString(),
      reason: '',
      ...change,
      hosts: [{ id: name, seq: state.seq + 1, prev: state.active, challenge: state.challenge, ...host }],
    }
  }

  /** What a host says to an order: `accepted`, or the code of its refusal. */
  async send(name: string, order: Order, signer?: Signer, more: Partial<OrderRequest> = {}): Promise<string> {
    const bytes = encodeDocument(order)
    const by = signer ?? (await this.own())
    const signatures = [await by.sign(namespaces.order, bytes)]
    return this.replay(name, { order: bytes.toString(), signatures, environment: this.environment, ...more })
  }

  replay(name: string, request: OrderRequest): Promise<string> {
    return this.#code(name, ({ client }) =>
      client.post('/v1/orders', anything, 'application/json', JSON.stringify(request)),
    )
  }

  /** Roots that are handed to a host, each signed by these. */
  async handRoot(name: string, root: Root, ...signers: Signer[]): Promise<string> {
    const bytes = encodeDocument(root)
    const signatures = await Promise.all(signers.map((signer) => signer.sign(namespaces.root, bytes)))
    const body = JSON.stringify({ roots: [{ root: bytes.toString(), signatures }] })
    return this.#code(name, ({ client }) => client.post('/v1/roots', anything, 'application/json', body))
  }

  async approval(signer: Signer, order: Order, change: Partial<Approval> = {}) {
    const { fleet, epoch, service, release, environment, notBefore, expires } = order
    const hosts = order.hosts.map(({ id }) => id)
    const base = { fleet, epoch, service, release, environment, hosts, notBefore, expires, reason: '' }
    const approval: Approval = { spec: 'deployctl/approval/v1', ...base, ...change }
    const bytes = encodeDocument(approval)
    return { approval: bytes.toString(), signatures: [await signer.sign(namespaces.approval, bytes)] }
  }

  /** A manifest offered as a release. */
  async offer(name: string, manifest: unknown, signer: Signer): Promise<string> {
    const bytes = encodeDocument(manifest)
    const signatures = [await signer.sign(namespaces.release, bytes)]
    const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`)
    const header = line({ release: bytes.length, length: bytes.length, signatures })
    const pack = zstdCompressSync(Buffer.concat([header, bytes, line({ end: 1 })]))
    return this.#code(name, ({ client }) =>
      client.post('/v1/services/echo/releases', anything, packType, Readable.from([pack])),
    )
  }

  async #code(name: string, act: (session: Session) => Promise<unknown>): Promise<string> {
    try {
      await this.with(name, act)
      return 'accepted'
    } catch (error) {
      return asDeployError(error).code
    }
  }
}
