import { existsSync, readFileSync } from 'node:fs'
import { installedParser, type Installed } from '../../shared/install/facts.ts'
import { replaceFile } from '../../shared/durable.ts'

const file = '/etc/deployctl/installed.json'

/** What setting up wrote on this host, by path. */
export function readInstalled(): Installed {
  const empty: Installed = { spec: 'deployctl/installed/v1', files: {} }
  if (!existsSync(file)) return empty
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return installedParser.check(value) ? value : empty
}

/** Noted before a file is written, so that nobody takes it for foreign after an interruption. */
export function noteInstalled(path: string, entry: Installed['files'][string] | null): void {
  const installed = readInstalled()
  if (entry === null && !installed.files[path]) return
  if (entry === null) delete installed.files[path]
  else installed.files[path] = entry
  replaceFile(file, `${JSON.stringify(installed, null, 2)}\n`, 0o644)
}
