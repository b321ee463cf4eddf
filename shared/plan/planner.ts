import type { Manifest } from '../formats/manifest.ts'
import type { Environment } from '../formats/order.ts'
import type { Strategy } from '../formats/receipt.ts'
import { type RequestedStrategy } from '../formats/service-spec.ts'
import { orderedSockets, privateSocket, publicSockets } from '../formats/sockets.ts'
import { changedPaths, isSame, shortList } from './changes.ts'
import { describeSwap, planSwap, type SwapPlan } from './swap.ts'

/** A release as it runs or is to run; its environment is null where only its digest is known. */
export type Side = { manifest: Manifest; environment: Pick<Environment, 'sockets'> | null }

/** What is known when a strategy is chosen; both sides plan, the host's plan is the one that counts. */
export type Change = {
  /** What runs now; null when nothing does. */
  previous: Side | null
  next: Side
  isEnvironmentChanged: boolean
  requested: RequestedStrategy
  /** Why the process that runs cannot exchange its code; null where nobody asked it, or it can. */
  processObstacle?: string | null
}

/** `refusal`: why what was asked for cannot be; then nothing is to be done. `swap` is there for `hot`. */
export type Plan = { strategy: Strategy; reasons: string[]; refusal?: string; swap?: SwapPlan }

const sideBySide = 'the old and the new release run side by side until the old one has finished'

/** Chooses the gentlest strategy that is safe, and says why in words for people. */
export function planActivation(change: Change): Plan {
  const { previous, next, isEnvironmentChanged } = change
  const wish = next.manifest.activation.strategy ?? 'auto'
  const requested = change.requested === 'auto' ? wish : change.requested
  if (previous === null) return { strategy: 'restart', reasons: ['nothing runs there yet: it is started'] }
  const reasons = [
    ...differences(previous.manifest, next.manifest),
    ...(isEnvironmentChanged ? ['the environment changed'] : []),
  ]
  const refuse = (why: string): Plan => ({ strategy: 'none', reasons: [...reasons, why], refusal: why })
  const swap = swapFor(change, previous)
  if (reasons.length === 0) reasons.push('the same files and settings under another name')
  if ('evaluate' in swap && (requested === 'auto' || requested === 'hot'))
    return { strategy: 'hot', reasons: [...reasons, ...describeSwap(swap)], swap }
  if ('obstacle' in swap && requested === 'hot') return refuse(swap.obstacle)
  if ('obstacle' in swap && requested === 'auto' && next.manifest.hot)
    reasons.push(`not hot: ${swap.obstacle}`)
  const obstacle = obstacleToOverlap(previous, next)
  if (requested === 'handover' && obstacle !== null) return refuse(obstacle)
  if (obstacle === null && requested !== 'restart')
    return { strategy: 'handover', reasons: [...reasons, sideBySide, ...cautions(next.manifest)] }
  reasons.push(obstacle ?? 'restart was asked for')
  if (publicSockets(next.manifest.run.sockets).length > 0)
    reasons.push('the host keeps its sockets open meanwhile: connections wait instead of failing')
  return { strategy: 'restart', reasons }
}

function swapFor({ next, isEnvironmentChanged, processObstacle = null }: Change, previous: Side) {
  if (!next.manifest.hot) return { obstacle: 'its program does not call createHot' }
  if (isEnvironmentChanged) return { obstacle: 'a program sees its environment only when it starts' }
  return processObstacle === null ? planSwap(previous.manifest, next.manifest) : { obstacle: processObstacle }
}

/** What a handover of this release cannot see. */
function cautions({ run: { sockets }, health }: Manifest): string[] {
  const isBlind = publicSockets(sockets).length > 0 && privateSocket(sockets) === null
  return isBlind && (health.probes ?? []).length > 0
    ? ['it has no private socket: until the old one has ended, either of them may answer a probe']
    : []
}

/** Why two instances cannot run side by side; null when they can. */
export function obstacleToOverlap(previous: Side, next: Side): string | null {
  const sides = [next.manifest, previous.manifest]
  const exclusive = [...new Set(sides.flatMap(({ activation }) => activation.exclusive ?? []))]
  if (exclusive.length > 0) return `only one instance at a time can use ${exclusive.join(', ')}`
  if (sides.some(({ activation }) => activation.overlap === false))
    return 'deploy.yaml says that two releases must not run side by side (overlap: false)'
  const sockets = publicSockets(next.manifest.run.sockets)
  const udp = sockets.find(({ type }) => type === 'udp')
  if (udp)
    return `two processes cannot share the udp socket "${udp.name}": each would get some of the packets`
  if (sockets.length === 0 && next.manifest.activation.overlap !== true)
    return 'it has no socket of ours, and deploy.yaml does not say that two may overlap: it is away while it restarts'
  if (!isSame(socketsOf(previous), socketsOf(next))) return 'its sockets are others'
  return null
}

/** Where it listens, by its own word or its environment's. */
const socketsOf = ({ manifest, environment }: Side) => orderedSockets(manifest.run, environment?.sockets)

/** What is made of the project's files, or put beside them. */
const ownDirectory = '.deployctl/'

function differences(previous: Manifest, next: Manifest): string[] {
  const parts: string[] = []
  const changed = changedPaths(previous, next).filter((path) => !path.startsWith(ownDirectory))
  if (changed.length > 0)
    parts.push(
      `${changed.length === 1 ? '1 file' : `${changed.length} files`} changed: ${shortList(changed)}`,
    )
  if (!isSame(previous.run.argv, next.run.argv)) parts.push('the command line changed')
  if (!isSame(previous.run.sockets, next.run.sockets)) parts.push('the sockets changed')
  if (!isSame(previous.run.env, next.run.env)) parts.push('the environment variables it needs changed')
  if (!isSame(previous.health, next.health)) parts.push('its probes changed')
  return parts
}
