import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import type { InstanceSpec } from '../manager.ts'

/**
 * A specification with what this host adds: the secrets in its own file `env/<service>.env`, which win,
 * and a directory for what must stay (STATE_DIRECTORY).
 */
export function withHostValues(dir: string, spec: InstanceSpec): InstanceSpec {
  const state = join(dir, 'state', spec.service)
  mkdirSync(state, { recursive: true, mode: 0o750 })
  return { ...spec, env: { STATE_DIRECTORY: state, ...spec.env, ...hostEnv(dir, spec.service) } }
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
