import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { embeddedManager, endSupervisor } from '../../agent/manager/embedded/client.ts'
import type { InstanceSpec, ServiceManager } from '../../agent/manager/manager.ts'

const fixture = (name: string) => new URL(`../fixtures/${name}`, import.meta.url).pathname

async function rig(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'supervisor-'))
  const manager = embeddedManager(dir, [process.execPath, fixture('supervise.ts'), dir])
  t.teardown(() => endSupervisor(dir))
  return { dir, manager }
}

function release(dir: string, version: string, extra: Partial<InstanceSpec> = {}): InstanceSpec {
  const cwd = join(dir, version)
  mkdirSync(cwd, { recursive: true })
  copyFileSync(fixture('echo-service.js'), join(cwd, 'server.mjs'))
  writeFileSync(join(cwd, 'version.txt'), version)
  return {
    service: 'echo',
    slot: 'a',
    release: version.padEnd(64, '0').replace(/[^0-9a-f]/g, '0'),
    argv: ['node', 'server.mjs'],
    cwd,
    env: {},
    needs: [],
    limits: {},
    sockets: [{ name: 'http', host: '127.0.0.1', port: 0 }],
    stop: { signal: 'SIGTERM', seconds: 2 },
    ...extra,
  }
}

async function addressOf(manager: ServiceManager) {
  const { http } = (await manager.status('echo')).addresses
  return `http://127.0.0.1:${http && 'port' in http ? http.port : 0}`
}

const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text()

async function eventually<T>(what: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await what()
    if (good(value) || tries > 200) return value
    await delay(50)
  }
}

t.test('a service gets its socket, and a restart refuses no connection', async (t) => {
  const { dir, manager } = await rig(t)
  await manager.start(release(dir, 'v1', { env: { GREETING: 'hi' } }))
  const url = await addressOf(manager)
  t.equal(await get(url), 'v1 hi http true')
  await manager.stop('echo', 'a')
  const waiting = get(url)
  await manager.start(release(dir, 'v2', { slot: 'b' }))
  t.equal(await waiting, 'v2  http true', 'a request in between waits for the new release')
  t.same(
    (await manager.status('echo')).instances.map(({ slot, state }) => [slot, state]),
    [['b', 'running']],
  )
})

t.test('a service that crashes is started again, later each time', async (t) => {
  const { dir, manager } = await rig(t)
  await manager.start(release(dir, 'v1'))
  const url = await addressOf(manager)
  await get(`${url}/die`).catch(() => {})
  t.equal(await get(url), 'v1  http true')
  const [one] = (await manager.status('echo')).instances
  t.match(one, { restarts: 1, lastEnd: 'exit 1', state: 'running' })
  await manager.start(release(dir, 'crash'))
  const crashed = await eventually(
    async () => (await manager.status('echo')).instances[0],
    (instance) => instance?.lastEnd === 'exit 3' && instance.restarts >= 1,
  )
  t.equal(crashed?.lastEnd, 'exit 3')
  const log = await manager.tail('echo', 50)
  t.ok(log.some(({ stream, line }) => stream === 'supervisor' && line === 'ended: exit 3'))
})

t.test('starting again what runs changes nothing', async (t) => {
  const { dir, manager } = await rig(t)
  await manager.start(release(dir, 'v1'))
  const [before] = (await manager.status('echo')).instances
  await manager.start(release(dir, 'v1'))
  t.equal((await manager.status('echo')).instances[0]?.pid, before?.pid)
})

t.test('after a supervisor died, everything comes up again on the same port', async (t) => {
  const { dir, manager } = await rig(t)
  await manager.start(release(dir, 'v1'))
  const url = await addressOf(manager)
  const { instances } = JSON.parse(readFileSync(join(dir, 'supervisor.json'), 'utf8')) as {
    instances: { process: { pid: number } }[]
  }
  const parent = Number(
    /PPid:\s+(\d+)/.exec(readFileSync(`/proc/${instances[0]?.process.pid}/status`, 'utf8'))?.[1],
  )
  process.kill(parent, 'SIGKILL')
  await delay(100)
  const pid = (await manager.status('echo')).instances[0]?.pid
  await eventually(
    () => manager.status('echo'),
    ({ instances }) => instances.length === 1,
  )
  t.equal(await addressOf(manager), url)
  t.equal(await get(url), 'v1  http true')
  t.not((await manager.status('echo')).instances[0]?.pid, instances[0]?.process.pid)
  t.not(pid, instances[0]?.process.pid)
})

t.test('a service that will not end is killed with all it started', async (t) => {
  const { dir, manager } = await rig(t)
  const argv = ['sh', '-c', 'trap "" TERM; sleep 1000 & echo $!; wait; wait']
  await manager.start(release(dir, 'v1', { argv, stop: { signal: 'SIGTERM', seconds: 0.3 } }))
  const [line] = await eventually(
    () => manager.tail('echo', 1),
    (lines) => lines.length > 0,
  )
  await manager.stop('echo', 'a')
  t.ok(hasEnded(Number(line?.line)))
})

t.test('its log can be read and followed', async (t) => {
  const { dir, manager } = await rig(t)
  await manager.start(
    release(dir, 'v1', { argv: ['sh', '-c', 'echo one; sleep 0.5; echo two >&2; sleep 100'] }),
  )
  await eventually(
    () => manager.tail('echo', 1),
    (lines) => lines.length > 0,
  )
  const stop = new AbortController()
  const seen: string[] = []
  for await (const { stream, line } of manager.follow('echo', 10, stop.signal)) {
    seen.push(`${stream} ${line}`)
    if (seen.length === 2) stop.abort()
  }
  t.same(seen, ['out one', 'err two'])
})

t.test('a port that is taken is said', async (t) => {
  const { dir, manager } = await rig(t)
  const child = spawn(process.execPath, [
    '-e',
    "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })",
  ])
  t.teardown(() => child.kill())
  const port = Number(await new Promise((resolve) => child.stdout.once('data', resolve)))
  const sockets = [{ name: 'http', host: '127.0.0.1', port }]
  await t.rejects(manager.start(release(dir, 'v1', { sockets })), {
    code: 'E_SERVICE_START',
    message: /another program listens|EADDRINUSE/,
  })
})

/** Gone, or dead and waiting for a parent that collects it. */
function hasEnded(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}
