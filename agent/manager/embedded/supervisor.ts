import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { asDeployError } from '../../../shared/errors.ts'
import { Strict, Type, parserOf } from '../../../shared/schema.ts'
import { syncPath } from '../../../shared/durable.ts'
import { InstanceSpec, type ServiceStatus, type Slot, type Stopped } from '../manager.ts'
import { Instance, endLeftover } from './instance.ts'
import { LogFile } from './log-file.ts'
import { requestParser, supervisorPaths, type SupervisorAnswer, type SupervisorRequest } from './protocol.ts'
import { HeldSockets } from './sockets.ts'

const Process = Strict({ pid: Type.Integer(), startTime: Type.String() })
const Desired = Strict({
  instances: Type.Array(Strict({ spec: InstanceSpec, process: Type.Union([Process, Type.Null()]) })),
})
const desiredParser = parserOf(Desired)
const maxRequestBytes = 16 * 1024 * 1024
const leftoverGraceMs = 3_000

/**
 * Runs the services of one host. A process of its own, so that an agent can crash, be killed or be
 * upgraded while the services go on. What should run is on disk, so that it comes up after a reboot.
 */
export class Supervisor {
  readonly #paths: ReturnType<typeof supervisorPaths>
  readonly #instances = new Map<string, Instance>()
  readonly #sockets = new HeldSockets()
  readonly #logs = new Map<string, LogFile>()
  /** One change of a slot at a time; while one drains, the other must be able to start. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(dir: string) {
    this.#paths = supervisorPaths(dir)
  }

  /** Brings up what should run, then answers. */
  async serve(): Promise<Server> {
    const server = await this.#listen()
    await this.#resume()
    return server
  }

  async #listen(): Promise<Server> {
    const server = createServer((socket) => this.#onConnection(socket))
    const { socket } = this.#paths
    if (await answers(socket)) throw new Error('another supervisor runs here')
    rmSync(socket, { force: true })
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socket, resolve))
    return server
  }

  async #resume() {
    const { desired } = this.#paths
    if (!existsSync(desired)) return
    const saved: unknown = JSON.parse(readFileSync(desired, 'utf8'))
    if (!desiredParser.check(saved)) throw new Error(`${desired} is damaged`)
    for (const { process } of saved.instances) if (process) await endLeftover(process, leftoverGraceMs)
    // One that cannot start must not keep the others down; the agent sees that it is missing.
    for (const { spec } of saved.instances)
      await this.#start(spec, false).catch((error: unknown) => this.#note(spec, error))
  }

  #note({ service, slot }: InstanceSpec, error: unknown) {
    this.#logOf(service).write({ slot, stream: 'supervisor', line: `cannot start: ${String(error)}` })
  }

  async handle(request: SupervisorRequest): Promise<unknown> {
    switch (request.do) {
      case 'status':
        return this.#status(request.service)
      case 'start':
        return this.#inTurn(request.spec, () => this.#start(request.spec, request.isHeld))
      case 'retarget':
        return this.#inTurn(request.spec, () => this.#retarget(request.spec))
      case 'let':
        return this.#let(request.service, request.slot)
      case 'stop':
        return this.#inTurn(request, () => this.#stop(request.service, request.slot))
      case 'end':
        return this.#end()
    }
  }

  #inTurn<T>({ service, slot }: { service: string; slot: Slot }, change: () => Promise<T>): Promise<T> {
    const name = `${service}/${slot}`
    const next = (this.#turns.get(name) ?? Promise.resolve()).then(change)
    this.#turns.set(
      name,
      next.catch(() => {}),
    )
    return next
  }

  async #start(spec: InstanceSpec, isHeld: boolean) {
    const name = `${spec.service}/${spec.slot}`
    const running = this.#instances.get(name)
    if (running && JSON.stringify(running.spec) === JSON.stringify(spec)) return
    await running?.stop()
    this.#instances.delete(name)
    const fds = []
    for (const socket of spec.sockets)
      fds.push(
        socket.private === true
          ? await this.#sockets.holdPrivate(name, this.#paths.private(spec.service, spec.slot))
          : await this.#sockets.hold(spec.service, socket),
      )
    const instance = new Instance(spec, fds, this.#logOf(spec.service), isHeld)
    this.#instances.set(name, instance)
    // Written before it is started: a supervisor that dies in between starts it when it comes back.
    this.#save()
    instance.start()
    this.#save()
    this.#letGo(spec.service)
  }

  async #retarget(spec: InstanceSpec) {
    const instance = this.#instances.get(`${spec.service}/${spec.slot}`)
    if (!instance) return
    instance.spec = { ...spec, sockets: instance.spec.sockets }
    this.#save()
  }

  async #stop(service: string, slot: Slot): Promise<Stopped> {
    const stopped = await this.#instances.get(`${service}/${slot}`)?.stop()
    this.#instances.delete(`${service}/${slot}`)
    this.#save()
    return stopped ?? { killed: false }
  }

  async #let(service: string, slot: Slot) {
    const instance = this.#instances.get(`${service}/${slot}`)
    if (instance) instance.isHeld = false
  }

  /** Sockets stay while nothing runs, so that a restart refuses nobody; they go with a changed release. */
  #letGo(service: string) {
    const own = [...this.#instances.values()].filter(({ spec }) => spec.service === service)
    this.#sockets.release(service, new Set(own.flatMap(({ spec }) => spec.sockets.map(({ name }) => name))))
  }

  async #end() {
    await Promise.all([...this.#instances.values()].map((instance) => instance.stop()))
    setImmediate(() => process.exit(0))
  }

  #status(service: string): ServiceStatus {
    const own = [...this.#instances.values()].filter(({ spec }) => spec.service === service)
    return { instances: own.map((one) => one.status()), addresses: this.#sockets.addresses(service) }
  }

  #logOf(service: string): LogFile {
    const log = this.#logs.get(service) ?? new LogFile(this.#paths.log(service))
    this.#logs.set(service, log)
    return log
  }

  #save() {
    const instances = [...this.#instances.values()].map(({ spec, processId }) => ({
      // The port that was picked stays the same when all is started anew.
      spec: { ...spec, sockets: this.#settled(spec) },
      process: processId,
    }))
    const fresh = `${this.#paths.desired}.new`
    writeFileSync(fresh, JSON.stringify({ instances }), { mode: 0o600 })
    syncPath(fresh)
    renameSync(fresh, this.#paths.desired)
  }

  #settled({ service, sockets }: InstanceSpec) {
    const addresses = this.#sockets.addresses(service)
    return sockets.map((socket) => {
      const address = addresses[socket.name]
      return socket.port === 0 && address && 'port' in address ? { ...socket, port: address.port } : socket
    })
  }

  #onConnection(socket: Socket) {
    let received = ''
    socket.setEncoding('utf8').on('error', () => socket.destroy())
    socket.on('data', (chunk: string) => {
      received += chunk
      if (received.length > maxRequestBytes) socket.destroy()
      if (socket.destroyed || !received.includes('\n')) return
      void this.#answer(received.slice(0, received.indexOf('\n'))).then((answer) =>
        socket.end(`${JSON.stringify(answer)}\n`),
      )
    })
  }

  async #answer(line: string): Promise<SupervisorAnswer> {
    try {
      const request: unknown = JSON.parse(line)
      if (!requestParser.check(request))
        return { ok: false, code: 'E_SUPERVISOR', why: 'it does not know that request' }
      return { ok: true, value: (await this.handle(request)) ?? null }
    } catch (error) {
      const { code, facts, message } = asDeployError(error)
      return { ok: false, code, why: String(facts['why'] ?? message) }
    }
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
