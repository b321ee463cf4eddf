import { described, Strict, Type, type Static } from '../schema.ts'
import { RunSpec } from './service-spec.ts'
import { Seconds } from './names.ts'

const Hook = Strict({
  run: described(RunSpec.properties.argv, 'Command line; no shell.'),
  timeoutSeconds: Type.Optional(described(Seconds, 'For it and all that it started (60).')),
})
export type Hook = Static<typeof Hook>

const Hooks = (where: string) =>
  Strict({
    before: Type.Optional(
      Type.Array(Hook, {
        maxItems: 16,
        description: `Before anything is switched ${where}; a failure stops it.`,
      }),
    ),
    after: Type.Optional(
      Type.Array(Hook, {
        maxItems: 16,
        description: `After all went well ${where}; a failure is only told.`,
      }),
    ),
  })

/** Programs of the release that are run around a deployment. */
export const HookSpec = Strict({
  controller: Type.Optional(
    described(Hooks('on any host'), 'Run once, in the directory of deploy.yaml, by who pushes.'),
  ),
  host: Type.Optional(
    described(Hooks('on this host'), "Run on each host, in the release's directory, as the service is run."),
  ),
})
export type HookSpec = Static<typeof HookSpec>

export const hookDefaults = { timeoutSeconds: 60 } as const
