import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Environment } from '../../shared/formats/order.ts'
import { serviceDefaults } from '../../shared/formats/service-spec.ts'
import type { InstanceSpec, Slot } from '../manager/manager.ts'

/**
 * A release with everything its host adds: the environment's values and sockets, the secrets in the
 * host's own file `env/<service>.env`, and a directory for what must stay (STATE_DIRECTORY).
 */
export function instanceSpec(
  dir: string,
  manifest: Manifest,
  digest: string,
  tree: string,
  environment: Environment,
  slot: Slot,
): InstanceSpec {
  const { run, service } = manifest
  const state = join(dir, 'state', service)
  mkdirSync(state, { recursive: true, mode: 0o750 })
  const own = environment.sockets ?? []
  return {
    service,
    slot,
    release: digest,
    argv: [...run.argv],
    cwd: tree,
    env: { STATE_DIRECTORY: state, ...environment.env, ...hostEnv(dir, service) },
    sockets: (run.sockets ?? []).map((socket) => own.find(({ name }) => name === socket.name) ?? socket),
    stop: {
      signal: run.stop?.signal ?? serviceDefaults.stopSignal,
      seconds: run.stop?.seconds ?? serviceDefaults.stopSeconds,
    },
  }
}

/** Values that never leave the host: passwords, keys. */
function hostEnv(dir: string, service: string): Record<string, string> {
  const file = join(dir, 'env', `${service}.env`)
  if (!existsSync(file)) return {}
  const parsed = parseEnv(readFileSync(file, 'utf8'))
  return Object.fromEntries(
    Object.entries(parsed).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
