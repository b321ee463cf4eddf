import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { table } from '../controller/cli/table.ts'
import { bytes, duration } from '../controller/cli/words.ts'
import { loadProject } from '../controller/config/load.ts'
import { resolveTarget } from '../controller/config/target.ts'
import { History } from '../controller/history/history.ts'
import { createFleet, openSigner } from '../controller/identity/fleet.ts'
import { Bases } from '../controller/push/bases.ts'
import { openSession, type Session } from '../controller/push/session.ts'
import { findBase, uploadRelease } from '../controller/push/upload.ts'
import { buildRelease } from '../controller/release/build.ts'
import { Scanner } from '../controller/release/scan.ts'
import { endSupervisor } from '../agent/manager/embedded/client.ts'
import { version } from '../shared/version.ts'
import { generateKey } from '../shared/sshsig/generate-key.ts'
import { cpuOf, median, memoryOf, startLink, timed, type Usage } from './lib/measure.ts'
import { makeTree, edit, type Tree } from './lib/tree.ts'
import { startBenchSshd } from './lib/sshd.ts'

/**
 * Brings a tree of near ten thousand files to another directory on this machine over the system's sshd:
 * rsync against `deployctl push --stage`, which does the same (every file there, whole and durable, in a
 * directory of its own) and nothing more. `--repeats N` (3), `--delays 0,25` (one way, ms).
 */
const option = (name: string, fallback: string) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : (process.argv[index + 1] ?? fallback)
}
const repeats = Number(option('repeats', '3'))
const delays = option('delays', '0,25').split(',').map(Number)
const onePercent = 100
const pauseMs = 3000

const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'bench-push-'))
const env = {
  PATH: process.env['PATH'],
  HOME: dir,
  DEPLOYCTL_HOME: join(dir, 'home'),
  DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh_config'),
  // As the launcher of the installed package does.
  NODE_COMPILE_CACHE: join(dir, 'compiled'),
}
const cases = ['first', 'nothing', 'one file', 'a line of 5 MB', '1 %'] as const
type Case = (typeof cases)[number]
type Sample = Usage & { bytes: number; hostCpuMs: number; hostPeakMb: number }

function change(tree: Tree, what: Case) {
  const own = tree.files.filter((file) => file.endsWith('.js') && !file.endsWith('bundle.js'))
  if (what === 'one file') edit(own.slice(7, 8))
  if (what === 'a line of 5 MB') edit([join(tree.dir, 'bundle.js')])
  if (what === '1 %') edit(own.filter((_, index) => index % onePercent === 3))
}

async function setUp() {
  const { privateKey, publicKey } = generateKey('bench')
  writeFileSync(join(dir, 'login'), privateKey, { mode: 0o600 })
  writeFileSync(join(dir, 'login.pub'), `${publicKey}\n`)
  const configDir = join(dir, 'home', 'config')
  const { fleet } = await createFleet({ configDir })
  return { configDir, fleet, signer: await openSigner({ configDir }) }
}

/** A new agent with nothing in its store; from the bundle, as users run it. */
async function startAgent(agentDir: string, root: string) {
  const program = [at('dist/deploy-agent.js'), '--dir', agentDir]
  const setup = spawn(process.execPath, [...program, 'setup', '--host', 'web1', '--root', root], {
    stdio: 'ignore',
  })
  await new Promise((resolve) => setup.once('close', resolve))
  const agent = spawn(process.execPath, [...program, 'serve'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => agent.stdout.once('data', resolve))
  return agent
}

async function main() {
  const { configDir, fleet, signer } = await setUp()
  const tree = makeTree(join(dir, 'tree'))
  console.log(
    `${tree.files.length} files, ${bytes(tree.bytes)}; ${repeats} repeats, medians; ratio to rsync -a\n`,
  )
  const sshd = await startBenchSshd(
    dir,
    join(dir, 'login.pub'),
    `${process.execPath} ${at('dist/deploy-agent.js')} bridge --dir ${join(dir, 'agent')}`,
  )
  for (const delayMs of delays) {
    const samples = new Map<string, Sample[]>()
    for (let round = 0; round < repeats; round++) await oneRound(delayMs, samples)
    report(delayMs, samples)
  }
  sshd.end()

  async function oneRound(delayMs: number, samples: Map<string, Sample[]>) {
    const plain = await startLink(sshd.plainPort, delayMs)
    const forced = await startLink(sshd.forcedPort, delayMs)
    for (const path of ['rsync', 'rsync-z', 'agent', join('home', 'cache'), join('home', 'data')])
      rmSync(join(dir, path), { recursive: true, force: true })
    const agent = await startAgent(join(dir, 'agent'), join(configDir, 'root.1.json'))
    const knownHosts = ['plain', 'forced'].map(
      (name) => `[127.0.0.1]:${name === 'plain' ? plain.port : forced.port} ${sshd.hostKey}\n`,
    )
    writeFileSync(join(dir, 'known_hosts'), knownHosts.join(''))
    writeFileSync(
      env.DEPLOYCTL_SSH_CONFIG,
      `Host *\n  IdentityFile ${join(dir, 'login')}\n  IdentityAgent none\n  UserKnownHostsFile ${join(dir, 'known_hosts')}\n  GlobalKnownHostsFile none\n  KexAlgorithms curve25519-sha256\n`,
    )
    writeFileSync(
      join(tree.dir, 'deploy.yaml'),
      `service: tree\nrun: { argv: [sleep, "1000"] }\nbuild: { exclude: [/deploy.yaml] }\nenvironments: { bench: { hosts: { web1: '${sshd.user}@127.0.0.1:${forced.port}' } } }\n`,
    )
    const ssh = `ssh -F ${env.DEPLOYCTL_SSH_CONFIG} -p ${plain.port}`
    const far = `/usr/bin/time -a -o ${join(dir, 'rsync.peak')} -f %M rsync`
    const rsync = (flags: string, to: string) =>
      ['rsync', flags, '--delete', '--exclude=/deploy.yaml', '-e', ssh, `--rsync-path=${far}`].concat(
        `${tree.dir}/`,
        `${sshd.user}@127.0.0.1:${join(dir, to)}/`,
      )
    const keep = (tool: string, what: Case, sample: Sample) =>
      samples.set(`${what}|${tool}`, [...(samples.get(`${what}|${tool}`) ?? []), sample])
    const kept = { session: null as Session | null, scanner: new Scanner(join(dir, 'home', 'cache')) }
    for (const what of cases) {
      // Nobody pushes twice in a second; the agent uses the pause.
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      change(tree, what)
      for (const [tool, flags] of [
        ['rsync -a', '-a'],
        ['rsync -az', '-az'],
      ] as const) {
        const cpu = sshd.cpuMs()
        rmSync(join(dir, 'rsync.peak'), { force: true })
        const used = await timed(rsync(flags, flags === '-a' ? 'rsync' : 'rsync-z'), dir, env)
        const hostPeakMb =
          Math.max(...readFileSync(join(dir, 'rsync.peak'), 'utf8').trim().split('\n').map(Number)) / 1024
        keep(tool, what, { ...used, bytes: await plain.bytes(), hostCpuMs: sshd.cpuMs() - cpu, hostPeakMb })
      }
      const before = { cpu: cpuOf(agent.pid ?? 0), sshd: sshd.cpuMs() }
      const used = await timed([process.execPath, at('dist/deployctl.js'), 'push', '--stage'], tree.dir, env)
      const hostCpuMs = cpuOf(agent.pid ?? 0) - before.cpu + sshd.cpuMs() - before.sshd
      keep('deployctl', what, {
        ...used,
        bytes: await forced.bytes(),
        hostCpuMs,
        hostPeakMb: memoryOf(agent.pid ?? 0, 'VmHWM'),
      })
      if (what !== 'first') await new Promise((resolve) => setTimeout(resolve, pauseMs))
      if (what !== 'first') keep('deployctl, kept', what, await overKept(kept, tree, what, forced))
    }
    kept.session?.client.close()
    await kept.scanner.close()
    agent.kill()
    await endSupervisor(join(dir, 'agent'))
    plain.end()
    forced.end()
  }

  /** The same once more over a kept connection, from a program that goes on running. */
  async function overKept(
    kept: { session: Session | null; scanner: Scanner },
    tree: Tree,
    what: Case,
    link: { bytes(): Promise<number> },
  ): Promise<Sample> {
    const project = await loadProject(tree.dir)
    using history = new History(join(dir, 'home', 'data', 'history.sqlite'))
    const [target] = resolveTarget(project.config, undefined).hosts
    if (!target) throw new Error('no host')
    const options = { configDir, env, asking: {}, fleet, history }
    kept.session ??= await openSession(target, options)
    change(tree, what)
    await link.bytes()
    const [began, cpu] = [performance.now(), process.cpuUsage()]
    const cacheDir = join(dir, 'home', 'cache')
    const release = await buildRelease(project, {
      fleet: fleet.root.fleet,
      signer,
      cacheDir,
      builder: `deployctl/${version}`,
      scanner: kept.scanner,
    })
    const base = findBase(history, history.lastKnown('web1', 'tree'))
    const bases = new Bases(cacheDir, 'tree')
    await uploadRelease(kept.session, { release, base, bases, onProgress: () => {} })
    history.keepManifest(release.digest, release.bytes, release.signatures)
    history.noteOnHost('web1', 'tree', release.digest)
    await bases.keep(release)
    const used = process.cpuUsage(cpu)
    return {
      wallMs: performance.now() - began,
      cpuMs: (used.user + used.system) / 1000,
      peakMb: process.memoryUsage.rss() / 1024 / 1024,
      bytes: await link.bytes(),
      hostCpuMs: Number.NaN,
      hostPeakMb: Number.NaN,
    }
  }
}

function report(delayMs: number, samples: ReadonlyMap<string, readonly Sample[]>) {
  console.log(`round trip ${delayMs * 2} ms`)
  const rows = [...samples].map(([key, list]) => {
    const [what = '', tool = ''] = key.split('|')
    const of = (field: keyof Sample) => median(list.map((sample) => sample[field]))
    const rsync = median((samples.get(`${what}|rsync -a`) ?? []).map(({ wallMs }) => wallMs))
    const host = Number.isNaN(of('hostCpuMs'))
      ? ['', '']
      : [duration(of('hostCpuMs')), `${Math.round(of('hostPeakMb'))} MB`]
    const own = [
      duration(of('wallMs')),
      (of('wallMs') / rsync).toFixed(2),
      bytes(of('bytes')),
      duration(of('cpuMs')),
      `${Math.round(of('peakMb'))} MB`,
    ]
    return [what, tool, ...own, ...host]
  })
  console.log(
    `${table(['change', 'tool', 'wall', 'ratio', 'bytes', 'cpu', 'peak', 'host cpu', 'host peak'], rows)}\n`,
  )
}

try {
  mkdirSync(join(dir, 'home', 'data'), { recursive: true })
  cpSync(at('package.json'), join(dir, 'package.json'))
  await main()
} finally {
  rmSync(dir, { recursive: true, force: true })
}
