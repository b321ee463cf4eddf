import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { planActivation } from '../../shared/plan/planner.ts'
import type { Command } from '../cli/command.ts'
import { environmentFlag, hostFlag, onFlag, hostKeyFlag, keyFlag, openWorkspace } from '../cli/workspace.ts'
import { someNames } from '../cli/rollout-words.ts'
import { bytes, duration } from '../cli/words.ts'
import type { Target } from '../config/target.ts'
import { Bases } from '../push/bases.ts'
import { openAll } from '../push/deploy.ts'
import { readState } from '../push/session.ts'
import { planBatches } from '../rollout/batches.decide.ts'
import { fetchBase, findBase, uploadSize } from '../push/upload.ts'
import { demandsOf } from '../../shared/trust/scope.decide.ts'
import { describeProvenance } from './approve.ts'
import { describeRelease, noteNotHot, releaseFor, statementFlag } from './push.ts'

export const planCommand: Command = {
  name: 'plan',
  summary: 'what a push would send and do on each host, and why; changes nothing',
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '--from <dir>', summary: 'a release that `deployctl build` saved' },
    statementFlag,
    keyFlag,
    hostKeyFlag,
  ],
  examples: ['deployctl plan', 'deployctl plan -e production --json'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using history = workspace.history
    const { out, cacheDir } = context
    const { target, fleet } = workspace
    const release = await releaseFor(parsed, context, workspace)
    const { service } = release.manifest
    out.line(`${describeRelease(release)}  → ${target.environment.name}`)
    noteNotHot(release, out)
    for (const line of describeProvenance(release.manifest.provenance)) out.line(`  ${line}`)
    const environment = sha256Hex(encodeDocument(target.environment))
    const bases = new Bases(cacheDir, service)
    const { opened, failed } = await openAll(workspace)
    try {
      for (const session of opened) {
        const state = await readState(session, service)
        const base = findBase(history, state.active) ?? (await fetchBase(session, state.active, fleet.root))
        const isSame = state.active === release.digest && state.environment === environment
        const plan = isSame
          ? { strategy: 'none', reasons: ['it runs this release already'] }
          : planActivation({
              previous: base && { manifest: base.manifest, environment: target.environment },
              next: { manifest: release.manifest, environment: target.environment },
              isEnvironmentChanged: state.environment !== null && state.environment !== environment,
              requested: 'auto',
            })
        const upload = isSame ? 0 : await sizeOf(release, base, bases)
        out.line(`  ${session.target.name}  runs ${state.version ?? 'nothing'}`)
        out.line(`    ${plan.strategy === 'none' ? 'nothing to do' : plan.strategy}, sends ${bytes(upload)}`)
        for (const reason of plan.reasons) out.line(`    · ${reason}`)
        const { people, cleanCommit } = demandsOf(fleet.root, service, session.target.name)
        if (people > 1) out.line(`    · ${people} people must agree`)
        if (cleanCommit) out.line('    · only a release of a clean commit is taken')
        out.event({
          type: 'plan',
          host: session.target.name,
          active: state.active,
          version: state.version,
          sends: upload,
          provenance: release.manifest.provenance,
          people,
          cleanCommit,
          ...plan,
        })
      }
      for (const line of turnsOf(target)) out.line(`  ${line}`)
      for (const { host, error } of failed) out.note(`  ${host}: ${error.message}`)
      const [first] = failed
      if (first) throw first.error
    } finally {
      for (const { client } of opened) client.close()
    }
  },
}

/** Whose turn is when, where not all change at once. */
function turnsOf({ hosts, rollout }: Target): string[] {
  const { batches, canary } = planBatches(hosts, rollout.batches)
  if (batches.length < 2) return []
  const { bakeSeconds, parallel } = rollout.policy
  const watched = (seconds: number) => (seconds > 0 ? `, then watched for ${duration(seconds * 1000)}` : '')
  return batches.map((names, index) => {
    const isCanary = canary && index === 0
    const rest = watched(bakeSeconds[isCanary ? 'canary' : 'batch'])
    return `${isCanary ? 'canary' : `batch ${index + 1}`}: ${someNames(names)}${index < batches.length - 1 ? rest : ''}${names.length > parallel ? `, ${parallel} at once` : ''}`
  })
}

type Release = Awaited<ReturnType<typeof releaseFor>>
type Base = Awaited<ReturnType<typeof findBase>>

function sizeOf(release: Release, base: Base, bases: Bases): Promise<number> {
  return uploadSize({ release, base, bases, onProgress: () => {} })
}
