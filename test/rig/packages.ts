import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const script = new URL('../../scripts/test-packages.sh', import.meta.url).pathname

/**
 * Whether a test must be skipped: false when the program is there or could be installed, else the reason.
 * @param program absolute path
 */
export function missingPackage(program: string, debianPackage: string): false | string {
  if (existsSync(program)) return false
  try {
    execFileSync(script, [debianPackage], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch {
    return `${program} is not there, and ${debianPackage} can only be installed by root on Debian`
  }
  return existsSync(program) ? false : `${debianPackage} did not bring ${program}`
}
