import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { table } from '../controller/cli/table.ts'
import { duration } from '../controller/cli/words.ts'
import { useLibrary } from '../test/rig/handing-over.ts'
import { trust } from '../test/rig/host.ts'
import { freePort } from '../test/rig/ports.ts'
import { makeRig } from '../test/rig/rig.ts'
import { generateKey } from '../shared/sshsig/generate-key.ts'
import { makeModuleTree, type ModuleTree } from './lib/module-tree.ts'
import { median, startLink } from './lib/measure.ts'
import { fromNpm } from './lib/npm.ts'
import { startPm2 } from './lib/pm2.ts'
import { startBenchSshd } from './lib/sshd.ts'

/**
 * From saving one of 500 modules until an HTTP client is answered by the new code: `deployctl watch`
 * (signed, staged durably, probed, on another host by its port), rsync and `pm2 reload`, and the tools
 * that only work on one's own machine: nodemon, hot-hook, dynohot. `--rounds N` (15), `--modules N` (500),
 * `--alone` for the first of them only.
 */
const option = (name: string, fallback: number) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : Number(process.argv[index + 1])
}
const rounds = option('rounds', 15)
const modules = option('modules', 500)
const at = (path: string) => new URL(path, import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'bench-watch-'))
const ending: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })]
const t = { teardown: (end: () => unknown) => void ending.push(end) }
const agent = new Agent({ keepAlive: true })

/** What is answered now; null while nobody answers. */
const ask = (url: string) =>
  new Promise<string | null>((resolve) => {
    const request = get(url, { agent }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.once('end', () => resolve(body.split(' ')[0] ?? ''))
      response.once('error', () => resolve(null))
    })
    request.once('error', () => resolve(null))
  })

async function until(url: string, release: string, limitMs = 30_000): Promise<number> {
  const began = performance.now()
  while (performance.now() - began < limitMs) {
    if ((await ask(url)) === release) return performance.now() - began
    await delay(3)
  }
  throw new Error(`${release} did not come up`)
}

type Row = { name: string; times: number[]; note: string }

/** @param act what is done after a save; nothing for those who look for themselves */
async function measure(
  name: string,
  tree: ModuleTree,
  url: string,
  note: string,
  act?: () => unknown,
): Promise<Row> {
  const times: number[] = []
  for (let n = 0; n < rounds + 2; n++) {
    const release = `${name.replaceAll(/\W/g, '')}${n}`
    const began = performance.now()
    tree.setRelease(release)
    await Promise.all([act?.(), until(url, release)]).then(([, ms]) => {
      // The first two warm up what will be warm when somebody works with it.
      if (n > 1) times.push(act ? performance.now() - began : ms)
    })
    await delay(700)
  }
  console.log(`${name}: ${times.map((ms) => ms.toFixed(0)).join(' ')} ms`)
  return { name, times, note }
}

const cold = (library: string) => `import { createServer } from 'node:http'
import { createHot, listen } from '${library}'
const hot = await createHot({ boundaries: ['./app.js'] })
const app = hot.handle('./app.js')
listen(createServer((request, response) => app.call((module, state) => module.handle(request, response, state))))
`
const plain = `import { createServer } from 'node:http'
import { handle } from './app.js'
createServer((request, response) => handle(request, response)).listen(Number(process.env.PORT))
if (process.send) process.send('ready')
`

async function deployctl(): Promise<Row[]> {
  const rig = await makeRig(t)
  const { project } = rig
  const tree = makeModuleTree(project, modules)
  await useLibrary(project)
  writeFileSync(join(project, 'server.js'), cold('./library/index.mjs'))
  const yaml = join(project, 'deploy.yaml')
  writeFileSync(
    yaml,
    readFileSync(yaml, 'utf8').replace('server.mjs', 'server.js').replace('minHealthySeconds: 0.1', ''),
  )
  rmSync(join(project, 'server.mjs'))
  rmSync(join(project, 'version.txt'))
  const command = [at('../bin/deployctl.cjs')]
  execFileSync(process.execPath, [...command, 'push'], { cwd: project, env: rig.home.env })
  const url = `http://${(await rig.state('web1')).addresses['http']}/`
  const rows: Row[] = []
  const host = rig.host('web1')
  for (const delayMs of [0, 25]) {
    const link = await startLink(host.port, delayMs)
    rig.configure({ hosts: [{ name: 'web1', port: link.port }] })
    writeFileSync(
      yaml,
      readFileSync(yaml, 'utf8')
        .replace('server.mjs', 'server.js')
        .replace('minHealthySeconds: 0.1', '')
        .replace(/(sockets: \[\{[^}]*\})\]/, '$1, { name: deployctl, private: true }]'),
    )
    trust(rig.home, { ...host, port: link.port })
    const watch = spawn(process.execPath, [...command, 'watch', '--json'], {
      cwd: project,
      env: rig.home.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const told = createInterface(watch.stdout)
    const rounds: { builtMs: number; liveMs: number; ms: number; error: unknown }[] = []
    told.on('line', (line) => {
      const event = JSON.parse(line) as { type: string } & (typeof rounds)[number]
      if (event.type !== 'round') return
      rounds.push(event)
      if (event.error) console.error(JSON.stringify(event.error))
    })
    await once(told, 'line')
    await delay(500)
    const name = delayMs === 0 ? 'deployctl watch' : `deployctl watch, ${2 * delayMs} ms link`
    rows.push(await measure(name, tree, url, ''))
    const row = rows.at(-1)
    if (row)
      row.note = `built ${duration(median(rounds.map((one) => one.builtMs)))}, proved ${duration(median(rounds.map((one) => one.liveMs)))}, committed ${duration(median(rounds.map((one) => one.ms)))}`
    await end(watch, 'SIGINT')
    link.end()
  }
  return rows
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill(signal)
  await closed
}

function plainProject(name: string) {
  const project = join(dir, name)
  mkdirSync(project)
  const tree = makeModuleTree(project, modules)
  writeFileSync(join(project, 'server.js'), plain)
  return { project, tree }
}

/** The usual: copy over SSH, then tell pm2 over SSH. */
async function rsyncAndPm2(): Promise<Row[]> {
  const { project, tree } = plainProject('laptop')
  const remote = join(dir, 'remote')
  cpSync(project, remote, { recursive: true })
  const port = await freePort()
  const pm2 = startPm2(join(remote, 'server.js'), port, join(dir, 'pm2'))
  ending.push(() => pm2.end())
  const { privateKey, publicKey } = generateKey('bench')
  writeFileSync(join(dir, 'login'), privateKey, { mode: 0o600 })
  writeFileSync(join(dir, 'authorized'), `${publicKey}\n`)
  const sshd = await startBenchSshd(dir, join(dir, 'authorized'), '/bin/false')
  ending.push(() => sshd.end())
  const rows: Row[] = []
  for (const delayMs of [0, 25]) {
    const link = await startLink(sshd.plainPort, delayMs)
    // One connection for all, as somebody who cares has set it up.
    const control = join(dir, `control-${delayMs}`)
    const ssh = `ssh -p ${link.port} -i ${join(dir, 'login')} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ControlMaster=auto -o ControlPersist=60 -o ControlPath=${control}`
    const act = async () => {
      const run = (command: string) =>
        new Promise<void>((resolve, reject) =>
          spawn('sh', ['-c', command], { stdio: ['ignore', 'ignore', 'inherit'] }).once('close', (code) =>
            code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`)),
          ),
        )
      await run(`rsync -a --delete -e '${ssh}' ${project}/ ${sshd.user}@127.0.0.1:${remote}/`)
      await run(`${ssh} ${sshd.user}@127.0.0.1 '${pm2.command('reload', 'bench')}'`)
    }
    const name = delayMs === 0 ? 'rsync + pm2 reload' : `rsync + pm2 reload, ${2 * delayMs} ms link`
    rows.push(
      await measure(name, tree, `http://127.0.0.1:${port}/`, `pm2 ${pm2.version}, state is lost`, act),
    )
    execFileSync('sh', ['-c', `${ssh} -O exit x@127.0.0.1 2>/dev/null || true`])
    link.end()
  }
  return rows
}

/** Tools of the same trade for one's own machine; no copy, no signature, no probe. */
async function local(): Promise<Row[]> {
  const tools = fromNpm('hot-tools', ['nodemon@3', 'hot-hook@1', 'dynohot@1'])
  const rows: Row[] = []
  const cases: [name: string, argv: (project: string) => string[], server: string, note: string][] = [
    [
      'nodemon',
      (project) => [
        join(tools, 'node_modules/nodemon/bin/nodemon.js'),
        '--quiet',
        join(project, 'server.js'),
      ],
      plain,
      'own machine, restarts, state is lost',
    ],
    [
      'hot-hook',
      (project) => ['--import=hot-hook/register', join(project, 'server.js')],
      `import { createServer } from 'node:http'
createServer(async (request, response) => (await import('./app.js', { with: { hot: 'true' } })).handle(request, response)).listen(Number(process.env.PORT))
`,
      'own machine, state is lost, leaks',
    ],
    [
      'dynohot',
      (project) => ['--import=dynohot/register', join(project, 'server.js')],
      `import { createServer } from 'node:http'
import * as app from './app.js'
let current = app.handle
import.meta.hot?.accept('./app.js', () => { current = app.handle })
createServer((request, response) => app.handle(request, response)).listen(Number(process.env.PORT))
`,
      'own machine',
    ],
  ]
  for (const [name, argv, server, note] of cases) {
    const { project, tree } = plainProject(name)
    writeFileSync(join(project, 'server.js'), server)
    writeFileSync(
      join(project, 'package.json'),
      '{ "type": "module", "private": true, "hotHook": { "boundaries": ["./app.js"] } }',
    )
    execFileSync('ln', ['-s', join(tools, 'node_modules'), join(project, 'node_modules')])
    const port = await freePort()
    const child = spawn(process.execPath, argv(project), {
      cwd: project,
      env: { ...process.env, NODE_OPTIONS: '', PORT: String(port) },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    ending.push(() => end(child))
    try {
      const url = `http://127.0.0.1:${port}/`
      await until(url, 'v1')
      rows.push(await measure(name, tree, url, note))
    } catch (error) {
      rows.push({
        name,
        times: [],
        note: `does not apply: ${error instanceof Error ? error.message : String(error)}`,
      })
    }
    await end(child)
  }
  return rows
}

try {
  const isAlone = process.argv.includes('--alone')
  const rows = await deployctl()
  if (!isAlone) rows.push(...(await rsyncAndPm2()), ...(await local()))
  const first = median(rows[0]?.times ?? [])
  console.log(
    `\nsaved → answered by the new code; ${modules} modules, 1 changed, ${rounds} rounds, Node ${process.version}`,
  )
  console.log(
    table(
      ['', 'median', 'slowest', 'ratio', ''],
      rows.map(({ name, times, note }) => [
        name,
        duration(median(times)),
        duration(Math.max(...times)),
        `${(median(times) / first).toFixed(1)}×`,
        note,
      ]),
    ),
  )
} finally {
  for (const end of ending.toReversed()) await end()
}
process.exit()
