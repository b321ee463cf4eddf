import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sha256Hex } from '../../shared/documents/document.ts'
import type { Step } from '../../shared/install/steps.ts'
import { openChain } from '../../shared/trust/root.ts'
import { writeRoot } from '../../shared/trust/roots.ts'
import { replaceFile } from '../../shared/durable.ts'
import { switchAgent } from './agent-version.ts'
import { noteInstalled, readInstalled } from './installed.ts'
import { link } from './link.ts'
import { accountIds, mustRun, runSystem } from './run.ts'

type Of<T extends Step['do']> = Extract<Step, { do: T }>
/** Whether anything was changed. */
type Outcome = 'done' | 'unchanged'

/**
 * Does one step of setting up, as root. Doing it again changes nothing.
 * @throws Error in the words of what failed
 */
export async function applyStep(step: Step): Promise<Outcome> {
  switch (step.do) {
    case 'group':
      return unless(has('group', step.name), () => mustRun(['groupadd', '--system', '--', step.name]))
    case 'user':
      return unless(has('passwd', step.name), () => mustRun(addUser(step)))
    case 'no-user':
      return unless(!has('passwd', step.name), () => mustRun(['userdel', '--force', '--', step.name]))
    case 'directory':
      return makeDirectory(step)
    case 'file':
      return writeManaged(step)
    case 'seed':
      return unless(existsSync(step.path), () => replaceFile(step.path, step.content, step.mode))
    case 'lines':
      return addLines(step)
    case 'link':
      return link(step.path, step.target)
    case 'trust':
      return trust(step)
    case 'run':
      if (step.mayFail === true) runSystem(step.argv)
      else mustRun(step.argv)
      return 'done'
    case 'agent':
      return switchAgent(step.version)
    case 'remove':
      return remove(step.path)
  }
}

function unless(isDone: boolean, change: () => void): Outcome {
  if (isDone) return 'unchanged'
  change()
  return 'done'
}

const has = (database: 'group' | 'passwd', name: string) => runSystem(['getent', database, name]).status === 0

/** No password rather than a locked account: sshd refuses locked ones even with a key. */
const addUser = ({ name, group, home, shell }: Of<'user'>) => [
  'useradd',
  '--system',
  '--no-create-home',
  '--home-dir',
  home,
  '--gid',
  group,
  '--shell',
  shell,
  '--password',
  '*',
  '--',
  name,
]

function makeDirectory({ path, mode, owner, group }: Of<'directory'>): Outcome {
  const isThere = existsSync(path)
  mkdirSync(path, { recursive: true })
  if (owner !== undefined) {
    const { uid, gid } = accountIds(owner)
    chownSync(path, uid, gid)
  }
  if (group !== undefined) chownSync(path, 0, accountIds(group).gid)
  chmodSync(path, mode)
  return isThere ? 'unchanged' : 'done'
}

function writeManaged({ path, mode, content, verify, keep }: Of<'file'>): Outcome {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : null
  if (before === content) {
    noteInstalled(path, { sha256: sha256Hex(content), was: null })
    return 'unchanged'
  }
  if (keep === true && before !== null) replaceFile(`${path}.by-hand`, before, mode)
  const note = readInstalled().files[path] ?? null
  noteInstalled(path, { sha256: sha256Hex(content), was: before === null ? null : sha256Hex(before) })
  replaceFile(path, content, mode)
  if (verify === undefined) return 'done'
  const { status, output } = runSystem(verify)
  if (status === 0) return 'done'
  if (before === null) rmSync(path)
  else replaceFile(path, before, mode)
  noteInstalled(path, note)
  throw new Error(`${verify.join(' ')}: ${output}`)
}

function addLines({ path, mode, lines }: Of<'lines'>): Outcome {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const known = new Set(before.split('\n'))
  const fresh = lines.filter((line) => !known.has(line))
  if (fresh.length === 0) return 'unchanged'
  const rest = before === '' || before.endsWith('\n') ? before : `${before}\n`
  replaceFile(path, `${rest}${fresh.join('\n')}\n`, mode)
  return 'done'
}

/** As the agent's user, since the directory is its own and root follows nobody's links. */
function trust({ host, roots }: Of<'trust'>): Outcome {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-trust-'))
  try {
    chmodSync(dir, 0o755)
    const last = openChain(roots)
      .map((root) => writeRoot(dir, root))
      .at(-1)
    const program = ['/usr/lib/deployctl/current/bin/node', '/usr/lib/deployctl/current/dist/deploy-agent.js']
    const args = ['setup', '--dir', '/var/lib/deployctl', '--host', host, '--root', last ?? '']
    mustRun([...program, ...args], accountIds('deploy-agent'))
    return 'done'
  } finally {
    rmSync(dir, { recursive: true })
  }
}

function remove(path: string): Outcome {
  const isThere = lstatSync(path, { throwIfNoEntry: false }) !== undefined
  rmSync(path, { recursive: true, force: true })
  noteInstalled(path, null)
  return isThere ? 'done' : 'unchanged'
}
