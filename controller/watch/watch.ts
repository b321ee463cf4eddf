import { DeployError, asDeployError } from '../../shared/errors.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import type { Project } from '../config/load.ts'
import type { Target } from '../config/target.ts'
import type { History } from '../history/history.ts'
import { openAll, type OpenedHosts } from '../push/deploy.ts'
import type { HostReport, PushEvent } from '../push/events.ts'
import { push } from '../push/push.ts'
import type { SessionOptions } from '../push/session.ts'
import { buildRelease, type BuildOptions, type Release } from '../release/build.ts'
import type { Changes, Saved } from './changes.ts'
import { runGates, type Gate, type GateResult } from './gates.ts'

export type WatchOptions = {
  project: Project
  target: Target
  history: History
  sessions: SessionOptions
  signer: Signer
  cacheDir: string
  build: BuildOptions
  gates: readonly Gate[]
  changes: Changes
  signal: AbortSignal
  tell: (event: WatchEvent) => void
}

/** How one burst of saves ended. Times are milliseconds since the first save of it. */
export type Round = {
  paths: string[]
  release: Release | null
  gates: GateResult[]
  reports: HostReport[]
  /** Why it went no further; null when all went well. */
  error: DeployError | null
  /** When it was built; when the last host answered with it; when all was over. */
  builtMs: number | null
  liveMs: number | null
  ms: number
}

export type WatchEvent =
  | { type: 'begin'; paths: string[] }
  | { type: 'push'; event: PushEvent }
  | ({ type: 'round' } & Round)

/** On each save: the gates, a build of what changed, a push over the connections that are open. */
export async function watchAndPush(options: WatchOptions): Promise<void> {
  const { changes, signal, target, sessions, tell } = options
  const connections = new Connections(() => openAll({ sessions, target }))
  connections.warm()
  try {
    for (let saved = await changes.next(signal); saved; saved = await changes.next(signal)) {
      tell({ type: 'begin', paths: saved.paths })
      tell({ type: 'round', ...(await oneRound(saved, connections, options)) })
    }
  } finally {
    await connections.close()
  }
}

async function oneRound(saved: Saved, connections: Connections, options: WatchOptions): Promise<Round> {
  const { project, gates, target, history, sessions, signer, cacheDir, build, tell } = options
  const since = () => performance.now() - saved.atMs
  const round: Round = {
    paths: saved.paths,
    release: null,
    gates: [],
    reports: [],
    error: null,
    builtMs: null,
    liveMs: null,
    ms: 0,
  }
  const fail = (error: unknown): Round => ({ ...round, error: asDeployError(error), ms: since() })
  try {
    // Neither needs the other; what is built is pushed only when the gates are open.
    const [results, release] = await Promise.all([runGates(gates, project.dir), buildRelease(project, build)])
    round.gates = results
    round.release = release
    round.builtMs = since()
    const shut = results.find(({ ok }) => !ok)
    if (shut) return fail(new DeployError('E_GATE_FAILED', { name: shut.name, status: shut.status }))
    const emit = (event: PushEvent) => {
      if (isLive(event)) round.liveMs = since()
      tell({ type: 'push', event })
    }
    const send = (opening: Promise<OpenedHosts>) =>
      push({
        release,
        target,
        history,
        sessions,
        signer,
        cacheDir,
        emit,
        opening,
        keepsConnections: true,
        approvals: [],
        strategy: 'auto',
        reason: 'deployctl watch',
        stageOnly: false,
      })
    let outcome = await send(connections.take())
    // It had been idle too long for somebody on the way. Again, but only where surely nothing was begun.
    const isUntouched = outcome.reports.every(({ result }) => result === 'aborted')
    if (outcome.error?.code === 'E_CONNECTION_LOST' && isUntouched) {
      connections.drop()
      outcome = await send(connections.take())
    }
    round.reports = outcome.reports
    if (outcome.error) connections.drop()
    return outcome.error ? fail(outcome.error) : { ...round, ms: since() }
  } catch (error) {
    connections.drop()
    return fail(error)
  }
}

/** The probes were good: whoever asks now is answered by the new code. */
const isLive = (event: PushEvent) =>
  event.type === 'event' && event.event.type === 'state' && event.event.data['state'] === 'probation'

/** Kept from one push to the next, and made anew after one that failed. */
class Connections {
  readonly #open: () => Promise<OpenedHosts>
  #current: Promise<OpenedHosts> | null = null

  constructor(open: () => Promise<OpenedHosts>) {
    this.#open = open
  }

  warm(): void {
    void this.take().then(({ failed }) => failed.length > 0 && this.drop())
  }

  take(): Promise<OpenedHosts> {
    this.#current ??= this.#open()
    return this.#current
  }

  drop(): void {
    const old = this.#current
    this.#current = null
    void old?.then(closeAll)
  }

  async close(): Promise<void> {
    if (this.#current) closeAll(await this.#current)
  }
}

function closeAll({ opened }: OpenedHosts) {
  for (const { client } of opened) client.close()
}
