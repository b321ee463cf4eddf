import type { ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeHome, sources, type Home } from '../host.ts'
import type { Ran } from '../rig.ts'
import type { TestHosts } from './hosts.ts'

const service = new URL('../../fixtures/echo-service.js', import.meta.url).pathname

/** A person with a project and a fleet, in the network of test hosts. */
export type Laptop = {
  home: Home
  project: string
  /** Another deployctl from now on: that of `makeProduct`. */
  use(program: string): void
  cli(...args: string[]): Promise<Ran>
  /** A command that is not waited for. */
  start(...args: string[]): ChildProcess
  /** As somebody would who has other things in the environment. */
  cliWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ran>
  /** Replaces the service's version, which it answers with; `sick` answers 500, `crash` ends at once. */
  version(name: string): void
  configure(change?: { run?: string; health?: string; hosts?: string }): void
  /** Changes deploy.yaml as an editor would. */
  edit(change: (text: string) => string): void
  /** A name for an address, in the person's ssh settings. */
  alias(name: string, address: string): void
  get(url: string): Promise<string>
}

export async function makeLaptop(rig: TestHosts): Promise<Laptop> {
  let program = sources.cli
  const home = await makeHome()
  const settings = join(home.dir, 'ssh_config')
  writeFileSync(
    settings,
    `Host *\n  UserKnownHostsFile ${rig.knownHosts}\n  GlobalKnownHostsFile none\n  IdentityAgent none\n  IdentityFile ${rig.loginKey}\n`,
  )
  const project = join(home.dir, 'project')
  mkdirSync(project)
  copyFileSync(service, join(project, 'server.mjs'))
  // Made once for all tests: it takes seconds.
  const shared = join(tmpdir(), 'deployctl-test-cache', 'agent')
  mkdirSync(shared, { recursive: true })
  mkdirSync(join(home.dir, 'home/cache'))
  symlinkSync(shared, join(home.dir, 'home/cache/agent'))
  const cliWith = async (more: NodeJS.ProcessEnv, ...args: string[]): Promise<Ran> => {
    const ran = await rig.run([process.execPath, program, ...args], {
      cwd: project,
      env: { ...home.env, ...more },
    })
    const lines = args.includes('--json') ? ran.stdout.split('\n').filter(Boolean) : []
    return {
      ...ran,
      code: ran.status,
      events: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    }
  }
  const laptop: Laptop = {
    home,
    project,
    use: (product) => {
      program = product
    },
    cli: (...args) => cliWith({}, ...args),
    start: (...args) => rig.spawn([process.execPath, program, ...args], { cwd: project, env: home.env }),
    cliWith,
    version: (name) => writeFileSync(join(project, 'version.txt'), `${name}\n`),
    configure({ run = '', health = '', hosts = '{}' } = {}) {
      writeFileSync(
        join(project, 'deploy.yaml'),
        `service: echo
run:
  argv: [node, server.mjs]
  sockets: [{ name: http, port: 8080 }]
${run}
health:
  probes: [{ type: http, timeoutSeconds: 2 }]
  minHealthySeconds: 0.2
  intervalSeconds: 0.1
  deadlineSeconds: 4
${health}
environments:
  production:
    hosts: ${hosts}
`,
      )
    },
    edit(change) {
      const file = join(project, 'deploy.yaml')
      writeFileSync(file, change(readFileSync(file, 'utf8')))
    },
    alias(name, address) {
      writeFileSync(settings, `Host ${name}\n  HostName ${address}\n${readFileSync(settings, 'utf8')}`)
    },
    async get(url) {
      const script = `fetch(process.argv[1],{headers:{connection:'close'},signal:AbortSignal.timeout(5000)}).then(a=>a.text()).then(t=>process.stdout.write(t),e=>process.stdout.write(String(e.cause??e)))`
      return (await rig.run([process.execPath, '-e', script, url])).stdout
    },
  }
  laptop.configure()
  laptop.version('v1')
  return laptop
}
