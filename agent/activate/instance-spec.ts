import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { libraryDirectory, serviceDefaults } from '../../shared/formats/service-spec.ts'
import { orderedSockets } from '../../shared/formats/sockets.ts'
import type { InstanceSpec, Slot } from '../manager/manager.ts'

/** A release as it is to run in an environment; what the host itself adds, its manager knows. */
export function instanceSpec(
  { run, service }: Manifest,
  digest: string,
  tree: string,
  environment: Environment,
  slot: Slot,
): InstanceSpec {
  return {
    service,
    slot,
    release: digest,
    argv: [...run.argv],
    cwd: tree,
    env: {
      ...environment.env,
      DEPLOYCTL_RELEASE: digest,
      ...(run.adopt === true && adopted(environment.env, tree)),
    },
    needs: run.env ?? [],
    sockets: orderedSockets(run, environment.sockets),
    stop: {
      signal: run.stop?.signal ?? serviceDefaults.stopSignal,
      seconds: run.stop?.seconds ?? serviceDefaults.stopSeconds,
      longConnections: run.stop?.longConnections ?? serviceDefaults.longConnections,
    },
    limits: run.limits ?? {},
  }
}

/** Node loads the library, which came with the release, before the program itself. */
function adopted(env: Environment['env'], tree: string): Environment['env'] {
  const own = env['NODE_OPTIONS']
  const option = `--import="${tree}/${libraryDirectory}/adopt.mjs"`
  return { NODE_OPTIONS: own === undefined ? option : `${own} ${option}` }
}
