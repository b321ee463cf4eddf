import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { json, text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { makeHome, sources, startHost, type Home, type Host } from './host.ts'

const service = new URL('../fixtures/echo-service.js', import.meta.url).pathname

export type Ran = {
  code: number | null
  stdout: string
  stderr: string
  /** What --json printed, a value a line. */
  events: Record<string, unknown>[]
}

/** A person with a project, and real hosts: agents with the embedded SSH server. */
export type Rig = {
  home: Home
  project: string
  hosts: Host[]
  host(name: string): Host
  /** Replaces the service's version, which it answers with; `sick` answers 500, `crash` ends at once. */
  version(name: string): void
  configure(change?: {
    run?: string
    health?: string
    environment?: string
    extra?: string
    hosts?: readonly Pick<Host, 'name' | 'port'>[]
    minHealthySeconds?: number
  }): void
  cli(...args: string[]): Promise<Ran>
  /** A command that goes on while the test does something else. */
  begin(...args: string[]): Running
  /** What the service answers on a host, over a new connection. */
  get(name: string, path?: string): Promise<string>
  state(name: string): Promise<{
    active: string | null
    seq: number
    deploying: unknown
    version: string | null
    addresses: Record<string, string>
    instances: { state: string; release: string }[]
  }>
}

export async function makeRig(
  t: Pick<Test, 'teardown'>,
  names: readonly string[] = ['web1'],
  programs = sources,
): Promise<Rig> {
  const home = await makeHome()
  const project = join(home.dir, 'project')
  mkdirSync(project)
  copyFileSync(service, join(project, 'server.mjs'))
  const hosts: Host[] = []
  for (const name of names) hosts.push(await startHost(t, home, name, programs))
  const rig: Rig = {
    home,
    project,
    hosts,
    host(name) {
      const found = hosts.find((one) => one.name === name)
      if (!found) throw new Error(`no host ${name}`)
      return found
    },
    version: (name) => writeFileSync(join(project, 'version.txt'), `${name}\n`),
    configure({
      run = '',
      health = '',
      environment = '',
      extra = '',
      hosts: list = hosts,
      minHealthySeconds = 0.1,
    } = {}) {
      const lines = list.map(
        ({ name, port }) => `      ${name}: { address: '127.0.0.1:${port}', identity: ${home.loginKey} }`,
      )
      writeFileSync(
        join(project, 'deploy.yaml'),
        `service: echo
run:
  argv: [node, server.mjs]
  sockets: [{ name: http, host: 127.0.0.1, port: 0 }]
${run}
health:
  probes: [{ type: http, timeoutSeconds: 2 }]
  minHealthySeconds: ${minHealthySeconds}
  intervalSeconds: 0.05
  deadlineSeconds: ${minHealthySeconds + 1}
${health}
environments:
  production:
    hosts:
${lines.join('\n')}
${environment}
${extra}
`,
      )
    },
    cli: (...args) => runCli(project, home.env, args, programs.cli),
    begin: (...args) => beginCli(project, home.env, args, programs.cli),
    async get(name, path = '/') {
      const { addresses } = await stateOf(rig, name)
      const answer = await fetch(`http://${addresses['http']}${path}`, { headers: { connection: 'close' } })
      return (await answer.text()).split(' ')[0] ?? ''
    },
    state: (name) => stateOf(rig, name),
  }
  rig.configure()
  rig.version('v1')
  return rig
}

export async function runCli(
  cwd: string,
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  program = sources.cli,
): Promise<Ran> {
  const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  const events = args.includes('--json')
    ? stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : []
  return { code, stdout, stderr, events }
}

/** A command under way, and what it has printed so far. */
export type Running = {
  pid: number
  /** Waits until its output matches. */
  says(pattern: RegExp): Promise<void>
  signal(name: NodeJS.Signals): void
  ended: Promise<Ran>
}

export function beginCli(
  cwd: string,
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  program = sources.cli,
): Running {
  return running(spawn(process.execPath, [program, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** The same with a terminal, by the util-linux program `script`; its output is that of the screen. */
export function beginInTerminal(
  cwd: string,
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  program = sources.cli,
): Running & { type(keys: string): void } {
  // A terminal of nobody's window has no columns.
  const line = ['stty cols 100 rows 40; exec', process.execPath, program, ...args].join(' ')
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', line, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm-256color' },
    stdio: 'pipe',
  })
  return { ...running(child), type: (keys) => void child.stdin.write(keys) }
}

function running(child: ChildProcessByStdio<Writable | null, Readable, Readable>): Running {
  let [stdout, stderr] = ['', '']
  const heard = new EventEmitter().setMaxListeners(0)
  child.stdout.setEncoding('utf8').on('data', (more: string) => heard.emit('more', (stdout += more)))
  child.stderr.setEncoding('utf8').on('data', (more: string) => heard.emit('more', (stderr += more)))
  const ended = once(child, 'close').then(([code]): Ran => ({
    code: code as number | null,
    stdout,
    stderr,
    events: [],
  }))
  const over = ended.then(() => heard.emit('more'))
  return {
    pid: child.pid ?? 0,
    async says(pattern) {
      while (!pattern.test(stdout + stderr)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`it ended without saying ${String(pattern)}: ${stdout}${stderr}`)
        await Promise.race([once(heard, 'more'), over])
      }
    },
    // The launcher is another process than the program; both are of this group's making.
    signal: (name) => void child.kill(name),
    ended,
  }
}

/** Asks the agent itself, by its Unix socket, as the bridge does. */
const stateOf = (rig: Rig, name: string) => askAgent(rig.host(name).dir, 'echo')

/** The same of any service. @param dir the agent's directory */
export function askAgent(dir: string, service: string): Promise<Awaited<ReturnType<Rig['state']>>> {
  const socket = connect(join(dir, 'agent.sock'))
  socket.write('DEPLOYCTL/1 {"connection":"test","user":"test","auth":null}\n')
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    const ask = request({
      path: `/v1/services/${service}`,
      createConnection: () => socket,
      headers: { connection: 'close' },
    })
    ask.once('error', reject).once('response', (response) => {
      json(response).then((value) => resolve(value as Awaited<ReturnType<Rig['state']>>), reject)
    })
    ask.end()
  })
}

/** Waits until a host has no deployment under way. */
export async function settled(rig: Rig, name: string): Promise<Awaited<ReturnType<Rig['state']>>> {
  for (let tries = 0; ; tries++) {
    const state = await rig.state(name).catch(() => null)
    if (state && state.deploying === null) return state
    if (tries > 60) throw new Error(`${name} does not settle`)
    await delay(200)
  }
}
