import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { table } from '../controller/cli/table.ts'
import { useLibrary } from '../test/rig/handing-over.ts'
import { addWeb1, bare } from '../test/rig/hosts/bare.ts'
import { cannotBoot } from '../test/rig/hosts/hosts.ts'
import { startLoad, type Load } from '../test/rig/load.ts'
import type { Outcome } from '../test/rig/load-client.ts'
import { answers, freePort } from '../test/rig/ports.ts'
import { makeRig } from '../test/rig/rig.ts'
import { startPm2 } from './lib/pm2.ts'

/**
 * What clients notice while a service is given a new release every few seconds: with deployctl, with
 * `pm2 reload`, with `systemctl restart`, and with none. Whoever pushes runs at the lowest priority, since
 * a laptop is not the host.
 */
const rounds = Number(process.argv[2] ?? 6)
const everyMs = 5_000
const mix = { kept: 32, fresh: 4, pauseMs: 20 }
const at = (path: string) => new URL(path, import.meta.url).pathname
const ending: (() => unknown)[] = []
const t = { teardown: (end: () => unknown) => void ending.push(end) }

type Row = { name: string; outcome: Outcome; quiet: Outcome | null }

/** Gives one release after the other while clients ask. */
async function measure(load: Load, release: ((n: number) => unknown) | null): Promise<Outcome> {
  for (let n = 0; n < rounds; n++) {
    const began = performance.now()
    await release?.(n)
    await delay(Math.max(0, everyMs - (performance.now() - began)))
  }
  return load.stop()
}

const run = (argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv) =>
  new Promise<void>((resolve, reject) => {
    const child = spawn('nice', ['-n', '19', ...argv], { cwd, env, stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${argv.join(' ')} ended with ${code}`)),
    )
  })

/** On this machine, with the process manager of the agent. */
async function here(): Promise<Row[]> {
  const rig = await makeRig(t)
  copyFileSync(at('lib/library-server.mjs'), join(rig.project, 'server.mjs'))
  await useLibrary(rig.project)
  const push = [process.execPath, at('../bin/deployctl.cjs'), 'push']
  await run(push, rig.project, rig.home.env)
  const url = `http://${(await rig.state('web1')).addresses['http']}/`
  const quiet = await measure(startLoad({ url, ...mix }), null)
  const pushed = await measure(startLoad({ url, ...mix }), (n) => {
    rig.version(`v${n + 2}`)
    return run(push, rig.project, rig.home.env)
  })
  return [
    { name: 'this machine, no release', outcome: quiet, quiet: null },
    { name: 'deployctl push', outcome: pushed, quiet },
  ]
}

/** A directory with the service as it is without deployctl. */
function plainService(dir: string) {
  mkdirSync(dir, { recursive: true })
  copyFileSync(at('lib/plain-server.mjs'), join(dir, 'server.mjs'))
  const version = (name: string) => writeFileSync(join(dir, 'version.txt'), name)
  version('v1')
  return { server: join(dir, 'server.mjs'), version }
}

async function pm2(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-pm2-'))
  ending.push(() => rmSync(dir, { recursive: true, force: true }))
  const { server, version } = plainService(join(dir, 'service'))
  const port = await freePort()
  const manager = startPm2(server, port, join(dir, 'home'))
  ending.push(manager.end)
  for (let tries = 0; tries < 100 && !(await answers(port)); tries++) await delay(100)
  const url = `http://127.0.0.1:${port}/`
  const quiet = await measure(startLoad({ url, ...mix }), null)
  const reloaded = await measure(startLoad({ url, ...mix }), (n) => {
    version(`v${n + 2}`)
    manager.reload()
  })
  return [
    { name: 'pm2, no release', outcome: quiet, quiet: null },
    { name: `pm2 ${manager.version} reload`, outcome: reloaded, quiet },
  ]
}

/** On a machine of its own, with systemd. */
async function onServer(): Promise<Row[]> {
  const rig = await bare()
  ending.push(() => rig[Symbol.asyncDispose]())
  const { web1, laptop } = rig
  copyFileSync(at('lib/library-server.mjs'), join(laptop.project, 'server.mjs'))
  await useLibrary(laptop.project)
  const added = await laptop.cli(...addWeb1)
  if (added.code !== 0) throw new Error(added.stderr)
  const load = (port: number) =>
    startLoad({ url: `http://10.77.0.11:${port}/`, ...mix }, (argv) => rig.spawn(argv))
  const push = async () => {
    const argv = ['nice', '-n', '19', process.execPath, at('../bin/deployctl.cjs'), 'push']
    const { status, stderr } = await rig.run(argv, { cwd: laptop.project, env: laptop.home.env })
    if (status !== 0) throw new Error(stderr)
  }
  await push()
  const quiet = await measure(load(8080), null)
  const pushed = await measure(load(8080), (n) => {
    laptop.version(`v${n + 2}`)
    return push()
  })
  await web1.must('mkdir', '-p', '/srv/plain')
  await web1.copy(at('lib/plain-server.mjs'), '/srv/plain/server.mjs')
  const unit = `[Service]\nEnvironment=PORT=8090\nExecStart=/usr/lib/deployctl/current/bin/node /srv/plain/server.mjs\nRestart=always\n`
  await web1.must(
    'sh',
    '-c',
    `echo v1 >/srv/plain/version.txt; printf '%s' '${unit}' >/etc/systemd/system/plain.service`,
  )
  await web1.must('systemctl', 'daemon-reload')
  await web1.must('systemctl', 'start', 'plain')
  await delay(1000)
  const restarted = await measure(load(8090), () => web1.must('systemctl', 'restart', 'plain'))
  return [
    { name: 'server with systemd, no release', outcome: quiet, quiet: null },
    { name: 'deployctl push', outcome: pushed, quiet },
    { name: 'systemctl restart', outcome: restarted, quiet },
  ]
}

const ms = (value: number) => `${value.toFixed(1)} ms`

function print(rows: readonly Row[]) {
  const cells = rows.map(({ name, outcome, quiet }) => [
    name,
    String(outcome.good + outcome.failed),
    String(outcome.failed),
    ms(outcome.p50),
    ms(outcome.p99),
    quiet ? (outcome.p99 / quiet.p99).toFixed(2) : '',
    ms(outcome.max),
  ])
  console.log(table(['', 'requests', 'failed', 'p50', 'p99', 'of quiet', 'max'], cells))
}

try {
  console.log(
    `${mix.kept} kept connections and ${mix.fresh} that are always new; a release every ${everyMs / 1000} s, ${rounds} times`,
  )
  const skipped = cannotBoot()
  print([...(await here()), ...(await pm2()), ...(skipped ? [] : await onServer())])
  if (skipped) console.log(`without a server: ${skipped}`)
  console.log(
    `Node ${process.version}, ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]} load at the end`,
  )
} finally {
  for (const end of ending.toReversed()) await end()
}
process.exit()
