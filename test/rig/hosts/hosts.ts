import { spawn, type ChildProcess } from 'node:child_process'
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { generateKey } from '../../../shared/sshsig/generate-key.ts'
import { missingPackage } from '../packages.ts'

export type Finished = { status: number | null; stdout: string; stderr: string }
type RunOptions = { cwd?: string; env?: NodeJS.ProcessEnv; input?: string }

/** One booted machine: real systemd, real sshd, an address of its own. */
export type TestHost = {
  name: string
  address: string
  /** A program as root on that machine. */
  run: (...argv: string[]) => Promise<Finished>
  /** The same, and it must succeed; gives what it printed, without the last newline. */
  must: (...argv: string[]) => Promise<string>
  /** A file of this machine, to a path of that one. */
  copy(from: string, to: string): Promise<void>
  reboot(): Promise<void>
  /** Ends the machine at once, as a power cut does, and boots it again. */
  powerCut(): Promise<void>
}

export type TestHosts = AsyncDisposable & {
  hosts: TestHost[]
  /** A private key that root, ada (sudo asks for "correct horse") and grace (it does not) accept. */
  loginKey: string
  knownHosts: string
  /** A program of this machine, in the network of the hosts. */
  run(argv: readonly string[], options?: RunOptions): Promise<Finished>
  spawn(argv: readonly string[], options?: RunOptions): ChildProcess
}

const script = (name: string) => new URL(name, import.meta.url).pathname
const bootTimeoutMs = 30_000
const packages: [string, string][] = [
  ['/usr/bin/systemd-nspawn', 'systemd-container'],
  ['/usr/sbin/sshd', 'openssh-server'],
  ['/usr/lib/polkit-1/polkitd', 'polkitd'],
  ['/usr/bin/sudo', 'sudo'],
  ['/usr/bin/dbus-daemon', 'dbus'],
  ['/sbin/ip', 'iproute2'],
]

/** Whether hosts can be booted here: false, or why not. */
export function cannotBoot(): false | string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'only root on Linux can boot test hosts'
  for (const [program, name] of packages) {
    const missing = missingPackage(program, name)
    if (missing) return missing
  }
  return false
}

/**
 * Boots machines in a network of their own. They end with this process, however it ends, and leave nothing.
 * @param hide paths of this machine that the hosts do not have
 */
export async function bootHosts(names: readonly string[], hide: readonly string[] = []): Promise<TestHosts> {
  const dir = mkdtempSync(join(tmpdir(), 'hosts-'))
  // network.sh removes both directories.
  const files = `${dir}.files`
  mkdirSync(files, { mode: 0o700 })
  const { privateKey, publicKey } = generateKey('test login')
  const loginKey = join(files, 'login')
  writeFileSync(loginKey, privateKey, { mode: 0o600 })
  writeFileSync(`${loginKey}.pub`, `${publicKey}\n`)
  const network = spawn(script('network.sh'), [dir], { stdio: ['pipe', 'pipe', 'inherit'] })
  const group = await firstLine(network)
  const inside = await keeperOf(network)
  const enter = (argv: readonly string[], { input, ...options }: RunOptions = {}) => {
    const child = spawn('nsenter', ['-t', String(inside), '-n', '--', ...argv], {
      ...options,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    child.stdin?.on('error', () => {}).end(input)
    return child
  }
  const run = (argv: readonly string[], options?: RunOptions) => finished(enter(argv, options))
  const own = names.map((name, index) => {
    const address = `10.77.0.${index + 11}`
    const boot = [script('boot.sh'), dir, group, name, address, `${loginKey}.pub`, ...noNode(), ...hide]
    return makeHost(name, address, ['-t', String(inside), '-m', '-n', '-p', '--', ...boot], run)
  })
  await Promise.all(own.map(({ start }) => start())).catch((error: unknown) => {
    network.stdin.end()
    throw error
  })
  const knownHosts = join(files, 'known_hosts')
  const keys = await Promise.all(own.map(({ host }) => host.must('cat', '/etc/ssh/ssh_host_ed25519_key.pub')))
  const lines = keys.map(
    (key, index) => `${own[index]?.host.address} ${key.split(' ').slice(0, 2).join(' ')}\n`,
  )
  writeFileSync(knownHosts, lines.join(''))
  return {
    hosts: own.map(({ host }) => host),
    loginKey,
    knownHosts,
    run,
    spawn: enter,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => network.once('close', resolve))
      network.stdin.end()
      await ended
    },
  }
}

function makeHost(
  name: string,
  address: string,
  nsenter: readonly string[],
  runInNetwork: TestHosts['run'],
): { host: TestHost; start: () => Promise<void> } {
  let booted: ChildProcess | null = null
  const leader = () => descendants(booted?.pid ?? 0).find((one) => one.name === 'systemd')?.pid ?? 0
  const run = (...argv: string[]) =>
    finished(
      spawn('nsenter', ['-t', String(leader()), '-a', '--', 'env', '-i', ...guestEnv, ...argv], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
  const start = async () => {
    booted = spawn('nsenter', nsenter, { stdio: ['ignore', 'ignore', 'inherit'] })
    await isUp()
  }
  const isUp = async () => {
    const deadline = performance.now() + bootTimeoutMs
    for (;;) {
      const probe = leader() === 0 ? null : await run('systemctl', 'is-system-running')
      if (/running|degraded/.test(probe?.stdout ?? '') && (await answersSsh())) return
      if (performance.now() > deadline)
        throw new Error(`${name} did not boot: ${probe?.stdout}${probe?.stderr}`)
      await delay(100)
    }
  }
  const answersSsh = async () => (await runInNetwork(['ssh-keyscan', '-T', '1', address])).stdout !== ''
  const must = async (...argv: string[]) => {
    const { status, stdout, stderr } = await run(...argv)
    if (status !== 0) throw new Error(`${argv.join(' ')} on ${name}: ${status} ${stderr}${stdout}`)
    return stdout.trimEnd()
  }
  const host: TestHost = {
    name,
    address,
    run,
    must,
    async copy(from, to) {
      const child = spawn(
        'nsenter',
        ['-t', String(leader()), '-a', '--', 'sh', '-c', 'cat >"$1"', 'sh', to],
        {
          stdio: ['pipe', 'pipe', 'pipe'],
        },
      )
      createReadStream(from).pipe(child.stdin)
      const { status, stderr } = await finished(child)
      if (status !== 0) throw new Error(`${to} on ${name}: ${stderr}`)
    },
    async reboot() {
      const before = leader()
      await run('systemctl', 'reboot')
      // Nobody may be inside meanwhile: a machine that goes down stops its processes before it ends them,
      // and nsenter then stops itself for good.
      const deadline = performance.now() + bootTimeoutMs
      while ([0, before].includes(leader())) {
        if (performance.now() > deadline) throw new Error(`${name} does not reboot`)
        await delay(50)
      }
      await isUp()
    },
    async powerCut() {
      const ended = new Promise((resolve) => booted?.once('close', resolve))
      process.kill(leader(), 'SIGKILL')
      await ended
      await start()
    },
  }
  return { host, start }
}

/** The test runner puts its own into the environment of whatever is spawned; a guest must not see it. */
const guestEnv = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LC_ALL=C.UTF-8',
]

/** Every `node` of this machine: a server has none. */
const noNode = () => (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'node'))

async function finished(child: ChildProcess): Promise<Finished> {
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const read = (stream: ChildProcess['stdout']) => (stream ? text(stream) : '')
  const [stdout, stderr, status] = await Promise.all([read(child.stdout), read(child.stderr), ended])
  return { status, stdout, stderr }
}

/** The process that holds the namespaces: it says that it is ready just before it becomes what it is. */
async function keeperOf(network: ChildProcess): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const keeper = descendants(network.pid ?? 0).find(({ name }) => name === 'cat')
    if (keeper) return keeper.pid
    await delay(20)
  }
  network.stdin?.end()
  throw new Error('the network of the test hosts did not start')
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      const [, group] = /^ready (\S+)\n/.exec(output) ?? []
      if (group !== undefined) resolve(group)
    })
    child.once('close', () => reject(new Error(`the network of the test hosts ended: ${output}`)))
  })
}

function descendants(pid: number): { pid: number; name: string }[] {
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').trim()
    } catch {
      // It ended.
      return ''
    }
  }
  const children = read(`task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [{ pid, name: read('comm') }, ...children.flatMap(descendants)]
}
