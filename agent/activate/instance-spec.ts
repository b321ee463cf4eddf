import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { serviceDefaults } from '../../shared/formats/service-spec.ts'
import type { InstanceSpec, Slot } from '../manager/manager.ts'

/** A release as it is to run in an environment; what the host itself adds, its manager knows. */
export function instanceSpec(
  { run, service }: Manifest,
  digest: string,
  tree: string,
  environment: Environment,
  slot: Slot,
): InstanceSpec {
  const own = environment.sockets ?? []
  return {
    service,
    slot,
    release: digest,
    argv: [...run.argv],
    cwd: tree,
    env: environment.env,
    needs: run.env ?? [],
    sockets: (run.sockets ?? []).map((socket) => own.find(({ name }) => name === socket.name) ?? socket),
    stop: {
      signal: run.stop?.signal ?? serviceDefaults.stopSignal,
      seconds: run.stop?.seconds ?? serviceDefaults.stopSeconds,
    },
    limits: run.limits ?? {},
  }
}
