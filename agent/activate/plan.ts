import { encodeDocument } from '../../shared/documents/document.ts'
import type { Order } from '../../shared/formats/order.ts'
import { planActivation, type Plan } from '../../shared/plan/planner.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { Releases } from '../store/releases.ts'

/** How this host carries out an order, by what it runs now. */
export function planFor(
  entry: Entry,
  journal: Journal,
  releases: Releases,
  processObstacle: string | null = null,
): Plan {
  const { active, environment } = journal.service(entry.service)
  const next = releases.find(entry.release)?.manifest
  const before = active === null ? null : (releases.find(active)?.manifest ?? null)
  if (!next) return { strategy: 'none', reasons: ['the release is not on the host'] }
  return planActivation({
    previous: before && { manifest: before, environment },
    next: { manifest: next, environment: entry.environment },
    isEnvironmentChanged:
      environment !== null && !encodeDocument(environment).equals(encodeDocument(entry.environment)),
    requested: orderOf(entry).strategy,
    // It was decided before this agent was started.
    processObstacle:
      entry.strategy === null || entry.strategy === 'hot' ? processObstacle : 'it could not be',
  })
}

/** What was signed; it was parsed when it was accepted. */
export const orderOf = ({ order }: Pick<Entry, 'order'>) => JSON.parse(order.toString()) as Order
