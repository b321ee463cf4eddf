import { spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import { endSupervisor } from '../agent/manager/embedded/client.ts'
import { compileLibrary } from '../controller/release/library.ts'
import { generateKey } from '../shared/sshsig/generate-key.ts'
import { fingerprintOf, publicKeyBlob } from '../shared/sshsig/public-key.ts'

/**
 * The whole of deployctl in front of your eyes: three hosts on this machine, a real service that keeps a
 * count, upgrades of it under load, a bad release. Everything is in one temporary directory and goes with it.
 */
const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname
const names = ['web1', 'web2', 'web3']
const stays = !process.argv.includes('--exit')

const dir = mkdtempSync(join(tmpdir(), 'deployctl-demo-'))
const project = join(dir, 'counter')
const env = {
  PATH: process.env['PATH'],
  TERM: process.env['TERM'],
  HOME: dir,
  DEPLOYCTL_HOME: join(dir, 'home'),
  DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh_config'),
}
/** Processes of ours, ended at the end. */
const running: ChildProcess[] = []

const say = (line: string) => console.log(line)
const title = (line: string) => console.log(`\n${styleText('bold', line)}`)

/** Shows a command as one would type it, and runs it. */
async function deployctl(...args: string[]): Promise<number | null> {
  const shown = args.map((arg) => (/^[\w./:=@+-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')
  say(styleText('cyan', `$ deployctl ${shown}`))
  const child = spawn(process.execPath, [at('bin/deployctl.cjs'), ...args], {
    cwd: project,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return new Promise((resolve) => child.once('close', resolve))
}

async function must(...args: string[]): Promise<void> {
  const code = await deployctl(...args)
  if (code !== 0) throw new Error(`deployctl ${args[0] ?? ''} ended with ${code}`)
}

async function startHost(name: string): Promise<{ name: string; port: number; fingerprint: string }> {
  const home = join(dir, 'hosts', name)
  const program = [at('bin/deploy-agent.cjs'), '--dir', home]
  const setup = spawn(
    process.execPath,
    [...program, 'setup', '--host', name, '--root', join(dir, 'home/config/root.1.json')],
    { env },
  )
  await new Promise((resolve) => setup.once('close', resolve))
  writeFileSync(join(home, 'authorized_keys'), readFileSync(join(dir, 'login.pub')))
  const agent = spawn(process.execPath, [...program, 'serve', '--ssh', '127.0.0.1:0'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(agent)
  const port = await new Promise<number>((resolve, reject) => {
    let output = ''
    agent.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      const found = /ssh on .*:(\d+)/.exec(output)?.[1]
      if (found) resolve(Number(found))
    })
    agent.once('close', () => reject(new Error(`the agent of ${name} did not start: ${output}`)))
  })
  return {
    name,
    port,
    fingerprint: fingerprintOf(publicKeyBlob(readFileSync(join(home, 'ssh_host_key.pub'), 'utf8'))),
  }
}

/** A controller beside all of it. @returns a link to its dashboard */
async function startController(): Promise<string> {
  const program = [at('bin/deployctl.cjs'), 'serve', '--port', '0', '--json']
  const controller = spawn(process.execPath, program, {
    cwd: project,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(controller)
  for await (const line of createInterface({ input: controller.stdout })) {
    const { type, link } = JSON.parse(line) as { type: string; link?: string }
    if (type !== 'serving' || link === undefined) continue
    controller.stdout.resume()
    return link
  }
  throw new Error('the controller did not start')
}

/** Where the service listens on a host, as `deployctl status` says. */
async function addresses(): Promise<Map<string, string>> {
  const child = spawn(process.execPath, [at('bin/deployctl.cjs'), 'status', '--json'], {
    cwd: project,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = (await text(child.stdout)).trim().split('\n')
  type Line = { host: string; state: { addresses: Record<string, string> } }
  return new Map(
    lines
      .map((line) => JSON.parse(line) as Line)
      .map(({ host, state }) => [host, `http://${state.addresses['http']}`]),
  )
}

const ask = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text()

async function showServing(urls: ReadonlyMap<string, string>) {
  for (const [name, url] of urls) {
    const page = await ask(`${url}/`)
    const count = /id="count">(\d+)</.exec(page)?.[1] ?? '?'
    say(`  ${name}  ${url}  counts ${count}, ${/<p>(.*)<\/p>/.exec(page)?.[1] ?? '?'}`)
  }
}

/** A browser's side of the page: what it heard, and whether it was ever cut off. */
function openBrowser(url: string) {
  const socket = new WebSocket(url.replace('http', 'ws'))
  const heard: number[] = []
  let closed = false
  socket.addEventListener('message', ({ data }) =>
    heard.push((JSON.parse(String(data)) as { count: number }).count),
  )
  socket.addEventListener('close', () => (closed = true))
  return {
    describe: () =>
      `  a browser that was open all the time: ${closed ? 'was sent to the new process' : 'never cut off'}, heard ${heard.length} counts, ${heard.slice(0, 2).join(', ')} … ${heard.slice(-3).join(', ')}`,
    close: () => socket.close(),
  }
}

/** Requests without pause, each over a new connection, until it is stopped. */
function load(url: string) {
  const counts = { good: 0, bad: 0, slowestMs: 0 }
  const stop = new AbortController()
  const one = () =>
    new Promise<void>((resolve) => {
      const began = performance.now()
      const done = (good: boolean) => {
        counts[good ? 'good' : 'bad'] += 1
        counts.slowestMs = Math.max(counts.slowestMs, performance.now() - began)
        resolve()
      }
      get(`${url}/count`, { agent: false }, (response) =>
        response.resume().once('close', () => done(response.statusCode === 200)),
      ).once('error', () => done(false))
    })
  const loop = async () => {
    while (!stop.signal.aborted) {
      await one()
      await delay(5)
    }
  }
  const running = Promise.all([loop(), loop()])
  return async () => {
    stop.abort()
    await running
    return counts
  }
}

function edit(file: string, from: string, to: string) {
  const path = join(project, file)
  const before = readFileSync(path, 'utf8')
  if (!before.includes(from)) throw new Error(`${file} has no ${from}`)
  writeFileSync(path, before.replace(from, to))
  say(`  ${file}: ${styleText('red', `- ${from}`)}  ${styleText('green', `+ ${to}`)}`)
}

async function demo() {
  cpSync(at('examples/hot-counter'), project, { recursive: true })
  // Its dependencies come from our own, so that nothing is downloaded again.
  for (const name of ['pretty-ms', 'ws'])
    cpSync(at(`node_modules/${name}`), join(project, 'node_modules', name), { recursive: true })
  const library = join(project, 'node_modules/deployctl-service')
  mkdirSync(join(library, 'dist'), { recursive: true })
  cpSync(at('service/package.json'), join(library, 'package.json'))
  for (const { path, bytes } of await compileLibrary(at('service')))
    writeFileSync(join(library, 'dist', basename(path)), bytes)
  const login = generateKey('demo')
  writeFileSync(join(dir, 'login'), login.privateKey, { mode: 0o600 })
  writeFileSync(join(dir, 'login.pub'), `${login.publicKey}\n`)
  writeFileSync(
    env.DEPLOYCTL_SSH_CONFIG,
    `IdentityFile ${join(dir, 'login')}\nIdentityAgent none\nGlobalKnownHostsFile none\nUserKnownHostsFile ${join(dir, 'known_hosts')}\n`,
  )

  title('1. A signing key, a fleet, three hosts on this machine')
  say('   each with an agent and its own small SSH server on loopback')
  const yaml = join(project, 'deploy.yaml')
  writeFileSync(
    yaml,
    readFileSync(yaml, 'utf8')
      .replace('port: 8080', 'host: 127.0.0.1, port: 0')
      .replace(/ {2}# Copies.*\n.*\n/, ''),
  )
  await must('init')
  mkdirSync(join(dir, 'hosts'))
  const hosts = await Promise.all(names.map((name) => startHost(name)))
  for (const { name, port, fingerprint } of hosts)
    await must('host', 'add', `127.0.0.1:${port}`, '--installed', '--name', name, '--host-key', fingerprint)

  title('The same fleet in a browser, while all of this goes on')
  const dashboard = await startController()
  say(`  ${dashboard}`)

  title('2. The first push: built, signed, sent, started, checked, confirmed')
  await must('push', '-m', 'first release')
  const urls = await addresses()
  const web1 = urls.get('web1') ?? ''
  const browser = openBrowser(web1)
  await delay(1200)
  await showServing(urls)

  title('3. A change of logic, while requests keep coming in: into the running program')
  edit('lib/step.js', 'step = 1', 'step = 10')
  await must('plan', '--host', 'web1')
  const stop = load(web1)
  await must('push', '-m', 'count by ten')
  await delay(1200)
  await showServing(urls)

  title('4. The state gets another shape, and moves')
  edit('app.js', 'version = 1', 'version = 2')
  edit(
    'app.js',
    'messages: 0, since: Date.now() })',
    'messages: 0, since: Date.now(), best: 0 })\nexport const codeChange = (state) => ({ ...state, best: state.messages })',
  )
  await must('push', '-m', 'remember the best')
  say(browser.describe())

  title('5. A dependency changes: a new process takes over the sockets')
  edit(
    'node_modules/pretty-ms/package.json',
    '"type": "module"',
    '"type": "module", "x": "as if npm had brought a newer one"',
  )
  await must('push', '-m', 'newer pretty-ms')
  const { good, bad, slowestMs } = await stop()
  say(
    `  requests to web1 during all three: ${good} answered, ${bad} failed, the slowest took ${Math.round(slowestMs)} ms`,
  )
  say(browser.describe())
  browser.close()
  await showServing(urls)

  title('6. A release that is not healthy')
  edit('app.js', "response.end('well\\n')", "response.writeHead(500).end('no database\\n')")
  const code = await deployctl('push', '-m', 'broken on purpose')
  say(`  exit code ${code}; meanwhile:`)
  await showServing(urls)
  if (code !== 8) throw new Error('a broken release should have been rolled back')

  title('7. What happened, and the proof')
  await must('history')
  await must('history', '--verify')
  await must('status')

  title('To do it for real')
  say(`  npm install -g .                                  this clone as your deployctl
  cd YOUR-PROJECT && deployctl init                 writes deploy.yaml, makes your key
  set up a host: docs/hosts.md                      a user, the agent, one sshd stanza
  deployctl host add root@web1.example.com
  deployctl push`)
  if (!stays) return
  title('The three hosts and the dashboard stay up until you press Ctrl-C')
  say(`  dashboard  ${dashboard}`)
  for (const [name, url] of urls) say(`  ${name}  ${url}`)
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve))
}

async function cleanUp() {
  for (const one of running) one.kill()
  await Promise.all(names.map((name) => endSupervisor(join(dir, 'hosts', name))))
  await delay(200)
  rmSync(dir, { recursive: true, force: true })
}

const beganMs = performance.now()
try {
  await demo()
  say(`\nDone in ${Math.round((performance.now() - beganMs) / 1000)} s; ${dir} is removed.`)
} finally {
  await cleanUp()
}
