import { accessSync, constants } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import { apiVersion } from '../../shared/wire/api.ts'

/**
 * What can be known of a staged release before anything is switched.
 * @param env all values the service would get
 * @throws DeployError E_CHECK_FAILED
 */
export function checkStaged(manifest: Manifest, tree: string, env: Readonly<Record<string, string>>): void {
  const refuse = (why: string) => new DeployError('E_CHECK_FAILED', { why })
  if (manifest.minimumAgent > apiVersion)
    throw refuse(`it needs an agent of API ${manifest.minimumAgent}; this one has ${apiVersion}`)
  const missing = (manifest.run.env ?? []).filter((name) => env[name] === undefined)
  if (missing.length > 0)
    throw refuse(`it needs values for ${missing.join(', ')} (environments.*.env, or the host's own file)`)
  const [program = ''] = manifest.run.argv
  if (!findProgram(program, tree)) throw refuse(`there is no program "${program}"`)
}

/** As the shell would find it, from the release's directory. */
function findProgram(program: string, tree: string): boolean {
  const paths = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`.split(delimiter)
  const candidates = program.includes('/')
    ? [isAbsolute(program) ? program : join(tree, program)]
    : paths.map((dir) => join(dir, program))
  return candidates.some((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
