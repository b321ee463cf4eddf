import envPaths from 'env-paths'
import { join } from 'node:path'
import type { DeployError } from '../../shared/errors.ts'

/** What a command may use of the world outside: where it is, where it keeps things, how it speaks. */
export type CliContext = {
  cwd: string
  env: NodeJS.ProcessEnv
  /** Directory of keys, roots and pins: loss of it means a new root. */
  configDir: string
  /** Directory of what can be made again. */
  cacheDir: string
  /** Directory of the history. */
  dataDir: string
  out: Output
}

export type Output = {
  json: boolean
  /** A line for people, on standard output; nothing under --json. */
  line(text?: string): void
  /** A line about progress, on standard error; nothing under --json. */
  note(text: string): void
  /** One JSON value a line, on standard output, under --json only. */
  event(value: Record<string, unknown>): void
  error(error: DeployError): void
}

export function makeContext(out: Output, env: NodeJS.ProcessEnv = process.env): CliContext {
  const paths = envPaths('deployctl', { suffix: '' })
  const home = env['DEPLOYCTL_HOME']
  return {
    cwd: process.cwd(),
    env,
    configDir: home ? join(home, 'config') : paths.config,
    cacheDir: home ? join(home, 'cache') : paths.cache,
    dataDir: home ? join(home, 'data') : paths.data,
    out,
  }
}
