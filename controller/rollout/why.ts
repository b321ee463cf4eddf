import { asDeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { DeploymentEvent, HostFacts } from '../../shared/wire/api.ts'
import type { Target } from '../config/target.ts'
import type { History, HostResult, Push } from '../history/history.ts'
import type { RolloutRecord } from '../history/rollouts.ts'
import { openSession, type SessionOptions } from '../push/session.ts'

const eventParser = parserOf(DeploymentEvent)
const factsParser = parserOf(HostFacts)

/** All that is known of one order on one host. */
export type HostStory = {
  host: string
  push: Push
  result: HostResult | null
  events: DeploymentEvent[]
  facts: HostFacts | null
  /** Why the host could not be asked; then the events are those that were seen from here. */
  away: string | null
}

export type Story = { record: RolloutRecord | null; hosts: HostStory[] }

/** What explains how the orders came out: the history here, and what the hosts say themselves. */
export async function tellStory(
  pushes: readonly Push[],
  record: RolloutRecord | null,
  wanted: readonly string[] | null,
  { history, sessions, target }: { history: History; sessions: SessionOptions; target: Target },
): Promise<Story> {
  const all = pushes.flatMap((push) => history.results(push.opId).map((result) => ({ push, result })))
  const bad = all.filter(({ result }) => result.result !== 'committed')
  // Where nothing failed, one host stands for all.
  const due =
    wanted === null
      ? bad.length > 0
        ? bad
        : all.slice(0, 1)
      : all.filter(({ result }) => wanted.includes(result.host))
  const seen = record ? history.rollouts.eventsAfter(record.rollout.plan.id, 0) : []
  const hosts = due.map(async ({ push, result }): Promise<HostStory> => {
    const { host } = result
    const own = seen.flatMap(({ event }) => eventOf(event, host))
    const asked = await ask(host, push.opId, { sessions, target })
    return { host, push, result, ...asked, events: asked.events.length > 0 ? asked.events : own }
  })
  return { record, hosts: await Promise.all(hosts) }
}

function eventOf(event: unknown, host: string): DeploymentEvent[] {
  const told = event as { type?: string; host?: string; event?: unknown }
  return told.type === 'event' && told.host === host && eventParser.check(told.event) ? [told.event] : []
}

async function ask(
  host: string,
  opId: string,
  { sessions, target }: { sessions: SessionOptions; target: Target },
) {
  const found = target.hosts.find(({ name }) => name === host)
  if (!found) return { events: [], facts: null, away: 'it is not in deploy.yaml any more' }
  try {
    const { client } = await openSession(found, sessions)
    try {
      const facts = await client.get('/v1/facts', factsParser)
      const events: DeploymentEvent[] = []
      for await (const event of client.lines(`/v1/deployments/${opId}/events?after=0`, eventParser))
        events.push(event)
      return { events, facts, away: null }
    } finally {
      client.close()
    }
  } catch (error) {
    return { events: [], facts: null, away: asDeployError(error).message }
  }
}
