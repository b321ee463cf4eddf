import { glob, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { SSHConfig } from 'ssh-config'
import { parse } from 'yaml'
import { DeployError } from '../../shared/errors.ts'
import { parserOf } from '../../shared/schema.ts'
import { run } from '../process.ts'
import type { Project } from './load.ts'
import { Hosts, type Inventory } from './schema.ts'

const parser = parserOf(Hosts)
const maxIncludes = 64
const commandTimeoutMs = 60_000

/**
 * Hosts of an environment that stand somewhere else than in deploy.yaml.
 * @throws DeployError E_INVENTORY
 */
export async function readInventory(
  { config, dir }: Project,
  environment: string,
  env: NodeJS.ProcessEnv,
): Promise<Hosts> {
  const found = config.environments[environment]
  const hosts: Hosts = {}
  const seen = new Map(Object.keys(found?.hosts ?? {}).map((name) => [name, 'deploy.yaml']))
  for (const source of found?.inventory ?? []) {
    const name = nameOf(source)
    for (const [host, entry] of Object.entries(await read(source, dir, env))) {
      const other = seen.get(host)
      if (other !== undefined)
        throw new DeployError('E_INVENTORY', { source: name, why: `${host} is in ${other} as well` })
      seen.set(host, name)
      hosts[host] = entry
    }
  }
  return hosts
}

function nameOf(source: Inventory): string {
  if ('file' in source) return source.file
  if ('sshConfig' in source) return `ssh config, ${source.sshConfig}`
  return source.command.join(' ')
}

async function read(source: Inventory, dir: string, env: NodeJS.ProcessEnv): Promise<Hosts> {
  const name = nameOf(source)
  try {
    if ('sshConfig' in source) return await fromSshConfig(source, env)
    const text =
      'file' in source
        ? await readFile(resolve(dir, source.file), 'utf8')
        : await fromCommand(source.command, dir, env)
    return checked(parse(text, { maxAliasCount: 100 }) as unknown, name)
  } catch (cause) {
    if (cause instanceof DeployError) throw cause
    throw new DeployError(
      'E_INVENTORY',
      { source: name, why: cause instanceof Error ? cause.message : String(cause) },
      { cause },
    )
  }
}

function checked(value: unknown, source: string): Hosts {
  if (parser.check(value)) return value
  const [issue] = parser.issues(value)
  throw new DeployError('E_INVENTORY', {
    source,
    why: issue ? `${issue.path || 'it'} ${issue.message}` : 'it is not hosts by name',
  })
}

async function fromCommand(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { status, stdout, stderr } = await run(argv, { cwd, env, timeoutMs: commandTimeoutMs })
  if (status === 0) return stdout
  throw new Error(`it ended with ${status ?? 'no status'}: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}

/** Aliases that stand there as they are; `ssh -G` knows later what each of them means. */
async function fromSshConfig(
  { sshConfig: pattern, labels }: Extract<Inventory, { sshConfig: string }>,
  env: NodeJS.ProcessEnv,
): Promise<Hosts> {
  const file = env['DEPLOYCTL_SSH_CONFIG'] ?? join(homedir(), '.ssh', 'config')
  const fitting = new RegExp(`^${pattern.replace(/[.]/g, '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`)
  const aliases = (await aliasesOf(file)).filter((alias) => fitting.test(alias))
  // The user of an alias is what ssh's own settings say.
  const entries = aliases.map((alias) => [alias.toLowerCase(), { address: alias, ...(labels && { labels }) }])
  return checked(Object.fromEntries(entries), `ssh config, ${pattern}`)
}

async function aliasesOf(first: string): Promise<string[]> {
  const files = [first]
  const aliases: string[] = []
  for (let at = 0; at < files.length && at < maxIncludes; at++) {
    const file = files[at] ?? ''
    for (const line of SSHConfig.parse(await readFile(file, 'utf8'))) {
      if (!('param' in line)) continue
      const values = [line.value].flat().map((value) => (typeof value === 'string' ? value : value.val))
      if (/^host$/i.test(line.param))
        aliases.push(...values.filter((value) => /^[A-Za-z0-9._-]+$/.test(value)))
      if (/^include$/i.test(line.param))
        for (const value of values)
          for await (const found of glob(includePath(value, first))) files.push(found)
    }
  }
  return [...new Set(aliases)]
}

/** ssh looks for a relative one beside the user's own file. */
const includePath = (value: string, first: string) =>
  resolve(dirname(first), value.replace(/^~(?=\/)/, homedir()))
