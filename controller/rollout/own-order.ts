import { parseDocument } from '../../shared/documents/document.ts'
import { Order, orderLimits } from '../../shared/formats/order.ts'
import type { RolloutPlan } from '../../shared/formats/rollout.ts'
import { parserOf, Strict, Type } from '../../shared/schema.ts'
import { HistoryEntry } from '../../shared/wire/api.ts'
import type { DeployOptions } from '../push/deploy-options.ts'
import type { SignedOrder } from '../push/order.ts'
import type { Session } from '../push/session.ts'

const orderParser = parserOf(Order)
const entriesParser = parserOf(Strict({ deployments: Type.Array(HistoryEntry, { maxItems: 1000 }) }))

/** A deployment as its host has it in its journal. */
export type HostDeployment = { entry: HistoryEntry; order: Order }

/** The newest deployments of a service on a host, newest first. */
export async function readDeployments(
  { client }: Session,
  service: string,
  limit: number,
): Promise<HostDeployment[]> {
  const { deployments } = await client.get(`/v1/services/${service}/history?limit=${limit}`, entriesParser)
  return deployments.map((entry) => ({
    entry,
    order: parseDocument(orderParser, Buffer.from(entry.order), 'order', orderLimits),
  }))
}

const fewNewest = 3

/** The order of the same rollout that another driver of it got to this host, if there is one; kept in the history. */
export async function findOwnOrder(
  session: Session,
  { id }: RolloutPlan,
  except: string,
  {
    history,
    record,
  }: Pick<DeployOptions, 'history'> & { record: { details: { what: { service: string } } } },
): Promise<SignedOrder | null> {
  const all = await readDeployments(session, record.details.what.service, fewNewest)
  const found = all.find(({ order }) => order.rollout?.id === id && order.opId !== except)
  return found ? keepOrder(found, history) : null
}

/** As if it had been made here: what comes of it can be recorded. */
export function keepOrder({ entry, order }: HostDeployment, history: DeployOptions['history']): SignedOrder {
  const bytes = Buffer.from(entry.order)
  const { opId, signatures, approvals } = entry
  if (!history.push(opId))
    history.recordPush({
      opId,
      at: order.notBefore,
      action: order.action,
      service: order.service,
      environment: order.environment.name,
      release: order.release,
      version: entry.version ?? order.release.slice(0, 12),
      provenance: null,
      approvals,
      signer: entry.who,
      fingerprint: entry.fingerprint,
      reason: order.reason,
      order: bytes,
      orderSignatures: signatures,
      rollout: order.rollout?.id ?? null,
    })
  return { opId, at: order.notBefore, bytes, signatures, release: [], approvals }
}
