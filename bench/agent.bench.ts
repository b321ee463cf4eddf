import { spawn, type ChildProcess } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { table } from '../controller/cli/table.ts'
import { createFleet } from '../controller/identity/fleet.ts'
import { generateKey } from '../shared/sshsig/generate-key.ts'
import { endSupervisor } from '../agent/manager/embedded/client.ts'
import { memoryOf, timed } from './lib/measure.ts'
import { edit, makeTree } from './lib/tree.ts'

/**
 * Memory of an agent: idle, and as releases of ten thousand files come one after the other. `--plain`
 * starts it without the flag that bin/deploy-agent.cjs and the unit in docs/hosts.md have.
 */
const releases = 8
const settleMs = 4000
const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'bench-agent-'))
const env = {
  PATH: process.env['PATH'],
  HOME: dir,
  DEPLOYCTL_HOME: join(dir, 'home'),
  DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh_config'),
}

async function startAgent(): Promise<{ agent: ChildProcess; port: string }> {
  const program = [at('dist/deploy-agent.js'), '--dir', join(dir, 'agent')]
  const root = join(dir, 'home', 'config', 'root.1.json')
  await timed([process.execPath, ...program, 'setup', '--host', 'web1', '--root', root], dir, env)
  writeFileSync(join(dir, 'agent', 'authorized_keys'), readFileSync(join(dir, 'login.pub')))
  const flags = process.argv.includes('--plain') ? [] : ['--max-semi-space-size=4']
  const agent = spawn(process.execPath, [...flags, ...program, 'serve', '--ssh', '127.0.0.1:0'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const chunk of agent.stdout) {
    said += String(chunk)
    const port = /ssh on .*:(\d+)/.exec(said)?.[1]
    if (port !== undefined) return { agent, port }
  }
  throw new Error(`the agent did not start: ${said}`)
}

async function main() {
  mkdirSync(join(dir, 'home', 'data'), { recursive: true })
  await createFleet({ configDir: join(dir, 'home', 'config') })
  const { privateKey, publicKey } = generateKey('bench')
  writeFileSync(join(dir, 'login'), privateKey, { mode: 0o600 })
  writeFileSync(join(dir, 'login.pub'), `${publicKey}\n`)
  const tree = makeTree(join(dir, 'tree'))
  const { agent, port } = await startAgent()
  const [type, key] = readFileSync(join(dir, 'agent', 'ssh_host_key.pub'), 'utf8').split(' ')
  writeFileSync(join(dir, 'known_hosts'), `[127.0.0.1]:${port} ${type} ${key}\n`)
  writeFileSync(
    env.DEPLOYCTL_SSH_CONFIG,
    `Host *\n  IdentityFile ${join(dir, 'login')}\n  IdentityAgent none\n  UserKnownHostsFile ${join(dir, 'known_hosts')}\n  GlobalKnownHostsFile none\n`,
  )
  appendFileSync(
    join(tree.dir, 'deploy.yaml'),
    `service: tree\nrun: { argv: [sleep, "1000"] }\nbuild: { exclude: [/deploy.yaml] }\nenvironments: { bench: { hosts: { web1: 'me@127.0.0.1:${port}' } } }\n`,
  )
  const pid = agent.pid ?? 0
  await delay(settleMs)
  const mb = (field: 'VmRSS' | 'VmHWM') => `${Math.round(memoryOf(pid, field))} MB`
  const rows = [['started', mb('VmRSS'), mb('VmHWM')]]
  for (let count = 1; count <= releases; count++) {
    edit(tree.files.filter((file) => file.endsWith('.js')).slice(count, count + 1))
    await timed([process.execPath, at('dist/deployctl.js'), 'push'], tree.dir, env)
    await delay(settleMs)
    rows.push([`after release ${count}`, mb('VmRSS'), mb('VmHWM')])
  }
  console.log(`${tree.files.length} files a release, of which the host keeps 5`)
  console.log(table(['', 'memory', 'peak'], rows))
  agent.kill()
  await endSupervisor(join(dir, 'agent'))
}

try {
  await main()
} finally {
  rmSync(dir, { recursive: true, force: true })
}
