import { spawn, type ChildProcess } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { endSupervisor } from '../../agent/manager/embedded/client.ts'
import { createFleet, openFleet, openSigner } from '../../controller/identity/fleet.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { rootFile } from '../../shared/trust/roots.ts'

/** What is tested: the sources, or a package as people install it. */
export type Programs = { cli: string; agent: string }
export const sources: Programs = {
  cli: new URL('../../bin/deployctl.cjs', import.meta.url).pathname,
  agent: new URL('../../agent/main.ts', import.meta.url).pathname,
}
const dyingProgram = new URL('../fixtures/dying-agent.ts', import.meta.url).pathname
const startTimeoutMs = 15_000

/** A person's side: a home with a fleet, and a key to log in with. */
export type Home = { dir: string; configDir: string; loginKey: string; env: NodeJS.ProcessEnv }

export async function makeHome(): Promise<Home> {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-'))
  const configDir = join(dir, 'home', 'config')
  mkdirSync(configDir, { recursive: true })
  await createFleet({ configDir })
  const { privateKey, publicKey } = generateKey('login')
  writeFileSync(join(dir, 'login'), privateKey, { mode: 0o600 })
  writeFileSync(join(dir, 'login.pub'), `${publicKey}\n`)
  // An ssh configuration of its own: what the person who runs the tests has set up must not matter.
  writeFileSync(
    join(dir, 'ssh_config'),
    `Host *\n  UserKnownHostsFile ${join(dir, 'known_hosts')}\n  GlobalKnownHostsFile none\n  IdentityAgent none\n`,
  )
  const env = {
    PATH: process.env['PATH'],
    HOME: dir,
    DEPLOYCTL_HOME: join(dir, 'home'),
    DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh_config'),
  }
  return { dir, configDir, loginKey: join(dir, 'login'), env }
}

export const fleetOf = (home: Home) => openFleet(home.configDir)
export const signerOf = (home: Home) => openSigner({ configDir: home.configDir })

export type Host = {
  name: string
  dir: string
  port: number
  pid: number
  /** Ends the agent at once; its services go on. */
  kill(): Promise<void>
  /** What the agent finds in its environment, besides. */
  env: NodeJS.ProcessEnv
  /** @param dieAt lets the agent die by itself: its state and moment */
  start(dieAt?: string): Promise<void>
  /** The agent as a program of `test/fixtures` runs it. */
  startAs(program: string, ...args: string[]): Promise<void>
  /** When the agent has ended, by itself or not. */
  ended(): Promise<void>
}

/** A real agent process with the embedded SSH server, on a port of its own. */
export async function startHost(
  t: Pick<Test, 'teardown'>,
  home: Home,
  name: string,
  { agent }: Programs = sources,
): Promise<Host> {
  const dir = join(home.dir, name)
  await finished(
    spawn(process.execPath, [
      agent,
      'setup',
      '--dir',
      dir,
      '--host',
      name,
      '--root',
      rootFile(home.configDir, fleetOf(home).root.version),
    ]),
  )
  writeFileSync(join(dir, 'authorized_keys'), readFileSync(`${home.loginKey}.pub`))
  let child: ChildProcess | null = null
  const run = async (args: readonly string[]) => {
    child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        HOME: home.dir,
        NODE_COMPILE_CACHE: join(tmpdir(), 'deployctl-test-cache'),
        ...host.env,
      },
    })
    host.pid = child.pid ?? 0
    host.port = await portOf(child)
  }
  const host: Host = {
    name,
    dir,
    port: 0,
    pid: 0,
    env: {},
    async kill() {
      child?.kill('SIGKILL')
      await host.ended()
      child = null
    },
    async ended() {
      if (child && child.exitCode === null && child.signalCode === null)
        await new Promise((resolve) => child?.once('close', resolve))
    },
    async start(dieAt) {
      if (dieAt) return host.startAs(dyingProgram, ...dieAt.split(' '))
      return run([agent, 'serve', '--dir', dir, '--ssh', `127.0.0.1:${host.port}`])
    },
    startAs: (program, ...args) => run([program, dir, `127.0.0.1:${host.port}`, ...args]),
  }
  t.teardown(async () => {
    await host.kill()
    await endSupervisor(dir)
  })
  await host.start()
  trust(home, host)
  return host
}

/** Writes the host's key into the person's known_hosts, as `deployctl host trust` would. */
export function trust(home: Home, host: Host): void {
  const [type, key] = readFileSync(join(host.dir, 'ssh_host_key.pub'), 'utf8').split(' ')
  const line = `[127.0.0.1]:${host.port} ${type} ${key}\n`
  const file = join(home.dir, 'known_hosts')
  if (!existsSync(file) || !readFileSync(file, 'utf8').includes(line)) appendFileSync(file, line)
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = ''
    const late = setTimeout(() => reject(new Error(`the agent did not start: ${output}`)), startTimeoutMs)
    const read = (text: string) => {
      output += text
      const port = /ssh on .*:(\d+)/.exec(output)?.[1]
      if (port === undefined) return
      clearTimeout(late)
      resolve(Number(port))
    }
    child.stdout?.setEncoding('utf8').on('data', read)
    child.stderr?.setEncoding('utf8').on('data', read)
    child.once('close', () => reject(new Error(`the agent ended: ${output}`)))
  })
}

async function finished(child: ChildProcess): Promise<void> {
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`setup ended with ${String(code)}`)
}
