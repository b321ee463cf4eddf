import { DeployError } from '../../shared/errors.ts'
import { socketProblem } from '../../shared/formats/sockets.ts'
import type { Plan } from '../../shared/plan/planner.ts'
import { apiVersion } from '../../shared/wire/api.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { ServiceManager } from '../manager/manager.ts'
import type { Releases } from '../store/releases.ts'
import type { HotActivation } from './hot.ts'
import { planFor } from './plan.ts'
import type { Specs } from './specs.ts'
import { verifyGraph } from './verify-graph.ts'

export type CheckParts = {
  specs: Specs
  manager: ServiceManager
  releases: Releases
  journal: Journal
  hot: HotActivation
}

/**
 * All that can be known before anything is switched; of a hot swap, that the new code can be loaded.
 * Afterwards the journal knows the strategy and the slot.
 * @returns the plan, which is another one when the running program cannot do the first
 * @throws DeployError E_CHECK_FAILED, E_HOT_GRAPH, E_SWAP_PREPARE, and those of the manager
 */
export async function checkRelease(entry: Entry, first: Plan, parts: CheckParts): Promise<Plan> {
  const { specs, manager, releases, journal, hot } = parts
  const manifest = specs.manifest(entry.release)
  const refuse = (why: string) => new DeployError('E_CHECK_FAILED', { why })
  if (manifest.minimumAgent > apiVersion)
    throw refuse(`it needs an agent of API ${manifest.minimumAgent}; this one has ${apiVersion}`)
  const problem = socketProblem(manifest.run.sockets ?? [])
  if (problem !== null) throw refuse(problem)
  const { active, slot } = journal.service(entry.service)
  const before = active === null ? null : (releases.find(active)?.manifest ?? null)
  await verifyGraph(manifest, releases.treeOf(entry.service, entry.release), before)
  const obstacle = first.strategy === 'hot' ? await hot.obstacle(entry.service) : null
  const plan = obstacle === null ? first : planFor(entry, journal, releases, obstacle)
  if (plan.refusal !== undefined) throw refuse(`what was asked for cannot be: ${plan.refusal}`)
  // A program that takes in a release stays where it is.
  if (plan.strategy === 'hot' && slot !== null) entry.slot = slot
  entry.strategy = plan.strategy
  journal.choose(entry.opId, entry.strategy, entry.slot)
  manager.check(specs.next(entry))
  if (plan.swap) await hot.prepare(entry, plan.swap)
  return plan
}
