import { spawn } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rootFile } from '../../shared/trust/roots.ts'
import { fleetOf, makeHome, sources, type Home } from './host.ts'
import { askAgent, beginCli, runCli, type Ran, type Running } from './rig.ts'

const program = new URL('../fixtures/many-agents.ts', import.meta.url).pathname

/** A person with a project, and many hosts of one process on loopback. */
export type Many = AsyncDisposable & {
  home: Home
  project: string
  names: string[]
  /** Of the process that is all the hosts. */
  pid: number
  ports: ReadonlyMap<string, number>
  cli(...args: string[]): Promise<Ran>
  begin(...args: string[]): Running
  /** The service: a file that is run; what is not well ends at once. */
  version(name: string, script?: string): void
  configure(rollout?: string, address?: (name: string, port: number) => string): void
  /** What each host runs by its own word, in the order of names. */
  running(): Promise<(string | null)[]>
}

/** @param cli which program the person has */
export async function makeMany(count: number, cli = sources.cli): Promise<Many> {
  const home = await makeHome()
  const project = join(home.dir, 'project')
  const dir = join(home.dir, 'hosts')
  mkdirSync(project)
  mkdirSync(dir)
  const root = rootFile(home.configDir, fleetOf(home).root.version)
  const child = spawn(process.execPath, [program, dir, String(count), root, `${home.loginKey}.pub`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const found: number[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /^ssh on .*:(\d+)$/.exec(line)?.[1]
    if (port !== undefined) found.push(Number(port))
    if (line === 'all there') break
  }
  child.stdout.resume()
  const names = found.map((_, index) => `h${String(index + 1).padStart(3, '0')}`)
  const ports = new Map(names.map((name, index) => [name, found[index] ?? 0]))
  for (const [name, port] of ports) {
    const [type, key] = readFileSync(join(dir, name, 'ssh_host_key.pub'), 'utf8').split(' ')
    appendFileSync(join(home.dir, 'known_hosts'), `[127.0.0.1]:${port} ${type} ${key}\n`)
  }
  const many: Many = {
    home,
    project,
    names,
    pid: child.pid ?? 0,
    ports,
    cli: (...args) => runCli(project, home.env, args, cli),
    begin: (...args) => beginCli(project, home.env, args, cli),
    version(name, script = 'exec sleep 100000\n') {
      writeFileSync(join(project, 'version.txt'), name)
      writeFileSync(join(project, 'run.sh'), script)
    },
    configure(rollout = '{ parallel: 16 }', address = (_, port) => `127.0.0.1:${port}`) {
      const hosts = [...ports].map(
        ([name, port], index) =>
          `      ${name}: { address: '${address(name, port)}', identity: ${home.loginKey}, labels: { zone: z${index % 4} } }`,
      )
      const text = `service: job
run: { argv: [sh, run.sh], stop: { seconds: 2 } }
health: { minHealthySeconds: 0.2, intervalSeconds: 0.1, deadlineSeconds: 5 }
rollout: ${rollout}
environments:
  production:
    hosts:
${hosts.join('\n')}
`
      writeFileSync(join(project, 'deploy.yaml'), text)
    },
    async running() {
      return Promise.all(names.map(async (name) => (await askAgent(join(dir, name), 'job')).active))
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      // Services have its output, and hold it open.
      if (child.exitCode === null && child.signalCode === null)
        await new Promise((resolve) => child.once('exit', resolve))
      for (const pid of startedIn(dir)) process.kill(pid, 'SIGKILL')
      rmSync(home.dir, { recursive: true, force: true })
    },
  }
  many.configure()
  many.version('v1')
  return many
}

/** Services outlive their agents: all processes whose directory is one of these hosts'. */
function startedIn(dir: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      return /^\d+$/.test(entry) && readlinkSync(`/proc/${entry}/cwd`).startsWith(dir) ? [Number(entry)] : []
    } catch {
      return []
    }
  })
}
