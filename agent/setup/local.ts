import { readFileSync } from 'node:fs'
import { DeployError } from '../../shared/errors.ts'
import { parseFacts, type HostFacts } from '../../shared/install/facts.ts'
import { hostPathsLookedAt, planHost, type Wanted } from '../../shared/install/plan-host.ts'
import { planRemoval } from '../../shared/install/plan-removal.ts'
import type { Step } from '../../shared/install/steps.ts'
import { lookScript, readTemplates } from '../../shared/install/templates.ts'
import { asAnswer, readChain } from '../../shared/trust/roots.ts'
import { runSystem } from './run.ts'

/**
 * The same plans as `deployctl host add` makes from afar, made on the host itself: for the Debian package
 * and for who has no way in as an administrator.
 */
function look(): HostFacts {
  const { status, output } = runSystem(['sh', '-s', '--', ...hostPathsLookedAt], { input: lookScript() })
  if (status !== 0) throw new DeployError('E_INTERNAL', { detail: output })
  return parseFacts(output)
}

/** What a package that was just unpacked has to do: no fleet yet, so no agent runs yet. */
export const planInstall = (version: string): Step[] =>
  plan({ version, templates: readTemplates(), loginKeys: [] })

/** Makes this host part of a fleet. @param keys a file of public keys that may log in for pushes */
export function planJoin(name: string, root: string, keys: string | undefined): Step[] {
  const chain = readChain(root)
  const facts = look()
  const version = facts.current?.replace('versions/', '')
  if (version === undefined)
    throw new DeployError('E_USAGE', { detail: 'Nothing is installed yet: install the package first.' })
  const loginKeys =
    keys === undefined
      ? []
      : readFileSync(keys, 'utf8')
          .split('\n')
          .filter((line) => /^[^#\s]/.test(line))
  const trust = { name, fleet: chain[0]?.root.fleet ?? '', roots: chain.map(asAnswer) }
  return plan({ version, templates: readTemplates(), trust, loginKeys })
}

function plan(wanted: Wanted): Step[] {
  const facts = look()
  const { steps, problems } = planHost(facts, wanted)
  if (problems.length === 0) return [...steps, ...newer(facts, wanted)]
  for (const { what, remedy } of problems) console.error(`✘ ${what}\n    ${remedy}`)
  throw new DeployError('E_HOST_UNFIT', {
    host: facts.host,
    problems: problems.map(({ what }) => what).join('; '),
  })
}

/** A host that belongs to a fleet already gets the package's agent at once. */
function newer({ current, fleet }: HostFacts, { version, trust }: Wanted): Step[] {
  const isUpgrade = trust === undefined && fleet !== null && current !== `versions/${version}`
  return isUpgrade ? [{ do: 'agent', version }] : []
}

/** All but what the package manager itself takes away. */
export function planUninstall(): Step[] {
  const { steps, left } = planRemoval(look())
  for (const line of left) console.log(`left: ${line}`)
  return steps.filter((step) => step.do !== 'remove' || step.path !== '/usr/lib/deployctl')
}
