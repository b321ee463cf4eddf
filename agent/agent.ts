import { DeployError, asDeployError } from '../shared/errors.ts'
import {
  apiVersion,
  type FreezeRequest,
  type HistoryEntry,
  type HostFacts,
  type OrderRequest,
  type RootsAnswer,
  type Sample,
  type ServiceState,
} from '../shared/wire/api.ts'
import { Runner, type RunnerParts } from './activate/runner.ts'
import { checkDisk, checkDrift, checkRoot } from './checkup/checks.ts'
import { systemClock, type Clock } from './clock.ts'
import type { Caller, Operations } from './api/operations.ts'
import { Specs } from './activate/specs.ts'
import { hostPaths, type Host } from './host.ts'
import { hostFacts } from './facts.ts'
import { takeSample } from './health/sample.ts'
import { Reports } from './reports.ts'
import { Housekeeping } from './housekeeping.ts'
import { Journal } from './journal/journal.ts'
import type { ServiceManager, Slot } from './manager/manager.ts'
import { Blobs } from './store/blobs.ts'
import { receivePack } from './store/receive.ts'
import { Releases } from './store/releases.ts'
import { Ballast, asStoreError } from './store/space.ts'
import { Challenges } from './trust/challenges.ts'
import { Gate } from './trust/gate.ts'
import { isRevokedLogin, tellLogins } from './trust/logins.ts'
import { parseLogin } from './trust/login.ts'
import { checkRootTime } from '../shared/trust/root.ts'
import { version } from '../shared/version.ts'

const notDeployed: Sample = {
  active: null,
  isRunning: false,
  restarts: 0,
  probes: [],
  metrics: null,
  problem: null,
}

/** No upload for this long: there is time to tidy up. */
const quietMs = 1000

/** The agent of one host: what the routes call. */
export class Agent implements Operations {
  readonly #host: Host
  readonly #journal: Journal
  readonly #blobs: Blobs
  readonly #releases: Releases
  readonly #manager: ServiceManager
  readonly #runner: Runner
  readonly #specs: Specs
  readonly #clock: Clock
  readonly #challenges = new Challenges()
  readonly #housekeeping: Housekeeping
  readonly #gate: Gate
  readonly #reports: Reports

  constructor(
    host: Host,
    manager: ServiceManager,
    onStep?: RunnerParts['onStep'],
    clock: Clock = systemClock,
  ) {
    this.#host = host
    this.#manager = manager
    this.#clock = clock
    const ballast = new Ballast(host.dir)
    ballast.restore()
    this.#journal = new Journal(hostPaths(host.dir).journal, () => ballast.drop())
    this.#blobs = new Blobs(host.dir)
    this.#releases = new Releases(host.dir, this.#blobs)
    const [journal, releases] = [this.#journal, this.#releases]
    this.#housekeeping = new Housekeeping(journal, releases, ballast, host.keepReleases)
    const onEnded = () => this.#housekeeping.soon(0)
    this.#specs = new Specs(releases, journal)
    const parts = { host, manager, clock, journal, releases, specs: this.#specs, onEnded }
    const [challenges, roots] = [this.#challenges, host.roots]
    const now = () => clock.now()
    this.#gate = new Gate({ host: host.name, roots, journal, releases, challenges, now })
    this.#reports = new Reports(journal, releases, manager, challenges, () => this.#gate.now())
    this.#runner = new Runner(onStep ? { ...parts, onStep } : parts)
  }

  /** Brings the host to a whole state: unfinished deployments are ended, committed services run. */
  async start(): Promise<void> {
    await this.#runner.recover()
    const busy = new Set(this.#journal.unfinished().map(({ service }) => service))
    for (const { name, active, slot } of this.#journal.services()) {
      if (busy.has(name) || active === null) continue
      // One that cannot run must not keep the agent, and with it all others, from coming up.
      await this.#bringUp(name, active, slot).catch((error: unknown) =>
        console.error(`${name}: ${asDeployError(error).message}`),
      )
    }
  }

  async #bringUp(name: string, active: string, slot: Slot | null): Promise<void> {
    if (!this.#isAdmitted(name)) return
    await this.#manager.settle(name, slot)
    const { instances } = await this.#manager.status(name)
    const spec = instances.some(({ release }) => release === active) ? null : this.#specs.active(name)
    if (spec) await this.#manager.start(spec)
  }

  /** A service that was taken off this host keeps its history here, and nothing else. */
  #isAdmitted(name: string): boolean {
    try {
      this.#manager.admit(name)
      return true
    } catch {
      return false
    }
  }

  admit({ user, auth }: Caller): void {
    const { key } = parseLogin(user, auth)
    if (key !== null && isRevokedLogin(this.#host.roots.root, key))
      throw new DeployError('E_LOGIN_REVOKED', { key })
  }

  roots(after: number): RootsAnswer {
    return { roots: this.#host.roots.after(after) }
  }

  follow({ roots }: RootsAnswer) {
    const { dir, roots: own } = this.#host
    if (own.adopt(roots, this.#gate.now())) tellLogins(dir, own.root)
    return { root: this.hello().root }
  }

  receipts(after: number) {
    return this.#reports.receipts(after)
  }

  hello() {
    const { name, roots, signer } = this.#host
    return {
      api: apiVersion,
      agent: version,
      host: name,
      fleet: roots.root.fleet,
      root: { version: roots.root.version, digest: roots.digest },
      receiptKey: signer.publicKey,
      now: this.#clock.now(),
    }
  }

  services(): Promise<ServiceState[]> {
    const known = this.#journal.services().filter(({ name }) => this.#isAdmitted(name))
    return Promise.all(known.map(({ name }) => this.#reports.service(name)))
  }

  async checkUp() {
    const committed = (await this.services()).filter(({ active }) => active !== null)
    const own = await this.#manager.checkUp(committed.map(({ service }) => service))
    const { dir, roots } = this.#host
    const general = [...checkDisk(dir), ...checkRoot(roots.root, this.#clock.now())]
    return { findings: [...general, ...committed.flatMap(checkDrift), ...own] }
  }

  async service(name: string): Promise<ServiceState> {
    this.#manager.admit(name)
    return this.#reports.service(name)
  }

  async code(service: string) {
    this.#manager.admit(service)
    return { code: await this.#runner.code(service) }
  }

  offer(service: string, pack: Parameters<Operations['offer']>[1]) {
    return this.#receive(service, null, pack)
  }

  upload(service: string, release: string, pack: Parameters<Operations['offer']>[1]) {
    return this.#receive(service, release, pack)
  }

  async #receive(service: string, known: string | null, pack: Parameters<Operations['offer']>[1]) {
    this.#manager.admit(service)
    const now = this.#gate.now()
    checkRootTime(this.#host.roots.root, now)
    const store = { host: this.#host, blobs: this.#blobs, releases: this.#releases, now }
    const { manifest, digest } = await receivePack(store, service, known, pack).catch((error: unknown) => {
      throw asStoreError(error, this.#host.dir, this.#host.name)
    })
    const missing = this.#releases
      .missing(manifest)
      .map(({ sha256 }) => ({ sha256, have: this.#blobs.partialSize(sha256) }))
    // Now rather than when the order comes: whoever stages early switches sooner.
    if (missing.length === 0) await this.#releases.stage(service, digest, manifest)
    this.#housekeeping.soon(quietMs)
    return { release: digest, missing, state: await this.service(service) }
  }

  order(request: OrderRequest, caller: Caller): string {
    const { order, bytes, own, authority } = this.#gate.accept(request)
    const [signer] = authority.by
    const entry = this.#journal.begin({
      opId: order.opId,
      service: order.service,
      seq: own.seq,
      action: order.action,
      release: order.release,
      prev: own.prev,
      environment: request.environment,
      slot: this.#journal.service(order.service).slot === 'a' ? 'b' : 'a',
      began: this.#clock.now(),
      bootId: this.#clock.bootId,
      who: signer?.owner ?? '?',
      fingerprint: signer?.fingerprint ?? '?',
      order: bytes,
      signatures: request.signatures,
      login: parseLogin(caller.user, caller.auth),
      approvals: request.approvals ?? [],
    })
    this.#challenges.consume(order.service)
    this.#runner.begin(entry, order.confirmSeconds, caller.connection)
    return order.opId
  }

  freeze(request: FreezeRequest): Promise<ServiceState> {
    const row = this.#gate.acceptFreeze(request)
    this.#journal.freeze(row)
    this.#challenges.consume(row.service)
    return this.service(row.service)
  }

  async sample(service: string): Promise<Sample> {
    this.#manager.admit(service)
    const spec = this.#specs.active(service)
    if (!spec) return notDeployed
    return takeSample(this.#manager, spec, this.#specs.manifest(spec.release))
  }

  facts(): HostFacts {
    return hostFacts(this.#host.dir, this.#clock.now())
  }

  confirm(opId: string, caller: Caller): void {
    this.#runner.confirm(opId, caller.connection)
  }

  events(opId: string, after: number, signal: AbortSignal) {
    return this.#runner.events(opId, after, signal)
  }

  manifest(release: string) {
    const saved = this.#releases.find(release)
    if (!saved)
      throw new DeployError('E_RELEASE_UNKNOWN', { release: release.slice(0, 12), service: 'any service' })
    return { manifest: saved.bytes.toString(), signatures: saved.signatures }
  }

  history(service: string, before: number, limit: number): HistoryEntry[] {
    return this.#reports.history(service, before, limit)
  }

  logs(service: string, lines: number, follow: boolean, signal: AbortSignal) {
    if (follow) return this.#manager.follow(service, lines, signal)
    return this.#tail(service, lines)
  }

  async *#tail(service: string, lines: number) {
    yield* await this.#manager.tail(service, lines)
  }
}
