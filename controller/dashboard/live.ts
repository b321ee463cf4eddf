export type LiveType = 'rollout' | 'fleet' | 'schedules'

/** An event of a rollout, as it is kept. */
export type RolloutEvent = { n: number; at: string; event: Record<string, unknown> & { type: string } }

const listeners = new Map<LiveType, Set<() => void>>()
let source: EventSource | null = null
let onState: (isLive: boolean) => void = () => {}

/** One connection for the whole page; the browser opens it again by itself. */
export function beginLive(tell: (isLive: boolean) => void): () => void {
  onState = tell
  source = new EventSource('/api/v1/live')
  source.addEventListener('open', () => {
    onState(true)
    // What happened while nobody listened is asked for.
    for (const all of listeners.values()) for (const listener of all) listener()
  })
  source.addEventListener('error', () => onState(false))
  for (const type of ['rollout', 'fleet', 'schedules'] as const)
    source.addEventListener(type, () => listeners.get(type)?.forEach((listener) => listener()))
  return () => {
    source?.close()
    source = null
  }
}

/** @returns an end to it */
export function onLive(type: LiveType, listener: () => void): () => void {
  const all = listeners.get(type) ?? new Set()
  listeners.set(type, all.add(listener))
  return () => void all.delete(listener)
}

/** What happens in one rollout, from its beginning. @returns an end to it */
export function followRollout(id: string, onEvent: (event: RolloutEvent) => void): () => void {
  const own = new EventSource(`/api/v1/live?rollout=${id}`)
  own.addEventListener('event', ({ data }: MessageEvent<string>) => onEvent(JSON.parse(data) as RolloutEvent))
  return () => own.close()
}
