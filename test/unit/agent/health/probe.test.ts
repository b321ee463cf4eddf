import { runCommand } from '../../../../agent/manager/embedded/run-command.ts'
import type { Address, InstanceSpec } from '../../../../agent/manager/manager.ts'
import t from 'tap'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { probeOnce } from '../../../../agent/health/probe.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-probe-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const server = createServer((request, response) => {
  if (request.url === '/slow') return
  if (request.url === '/endless') return void response.writeHead(200).write('x'.repeat(200_000))
  if (request.url === '/header') return void response.end(request.headers['x-probe'])
  response.writeHead(request.url === '/bad' ? 503 : 200).end('all is well')
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
t.teardown(() => server.close() && server.closeAllConnections())
const { port } = server.address() as AddressInfo
const addresses: Record<string, Address> = { http: { host: '0.0.0.0', port } }
const spec: InstanceSpec = {
  service: 'echo',
  slot: 'a',
  release: '0'.repeat(64),
  argv: ['true'],
  cwd: '/',
  env: {},
  needs: [],
  sockets: [],
  stop: { signal: 'SIGTERM', seconds: 1 },
  limits: {},
}
const context = {
  addresses,
  runCommand: (argv: readonly string[], signal: AbortSignal) =>
    runCommand({ ...spec, cwd: dir, env: { GREETING: 'hello' } }, argv, signal),
}

const http = (path: string, more = {}) =>
  probeOnce({ type: 'http', socket: 'http', path, timeoutSeconds: 0.3, ...more }, context)

t.test('an http probe asks for status and body, and shows what it got', async (t) => {
  t.match(await http('/'), { ok: true, detail: 'http /: 200' })
  t.match(await http('/bad'), { ok: false, detail: 'http /bad: 503', body: 'all is well' })
  t.match(await http('/bad', { status: 503 }), { ok: true })
  t.match(await http('/', { body: 'well' }), { ok: true })
  t.match(await http('/', { body: 'done' }), { ok: false, detail: /without "done"/ })
  t.match(await http('/header', { headers: { 'X-Probe': 'yes' }, body: 'yes' }), { ok: true })
})

t.test('a service that hangs or never ends its answer does not hang the probe', async (t) => {
  t.match(await http('/slow'), { ok: false, detail: /no answer within 0.3 s/ })
  t.ok((await http('/endless')).body.length <= 512)
})

t.test('http over a Unix socket, and a socket that nobody declared', async (t) => {
  const path = join(dir, 'http.sock')
  const unix = createServer((_, response) => response.end('unix')).listen(path)
  t.teardown(() => unix.close())
  await once(unix, 'listening')
  const answer = await probeOnce({ type: 'http', socket: 'u' }, { ...context, addresses: { u: { path } } })
  t.match(answer, { ok: true, body: 'unix' })
  const tcp = await probeOnce({ type: 'tcp', socket: 'u' }, { ...context, addresses: { u: { path } } })
  t.match(tcp, { ok: true })
  t.match(await probeOnce({ type: 'http', socket: 'admin' }, context), {
    ok: false,
    detail: /no socket admin/,
  })
})

t.test('a tcp probe is good when somebody accepts', async (t) => {
  t.match(await probeOnce({ type: 'tcp', socket: 'http' }, context), { ok: true })
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  await once(closed, 'close')
  t.match(await probeOnce({ type: 'tcp', port }, context), { ok: false, detail: /ECONNREFUSED/ })
})

t.test('a command is good when it ends with 0; it has the service’s directory and environment', async (t) => {
  const sh = (script: string, timeoutSeconds = 5) =>
    probeOnce({ type: 'command', argv: ['sh', '-c', script], timeoutSeconds }, context)
  t.match(await sh('echo $GREETING from $PWD; test -z "$HOME"'), { ok: true, body: `hello from ${dir}\n` })
  t.match(await sh('echo broken >&2; exit 3'), { ok: false, detail: /ended with 3/, body: 'broken\n' })
  t.match(await probeOnce({ type: 'command', argv: ['./not-there'] }, context), {
    ok: false,
    detail: /ENOENT/,
  })
  const late = join(dir, 'late')
  t.match(await sh(`(sleep 1; touch ${late}) & wait`, 0.2), { ok: false, detail: /no answer within 0.2 s/ })
  await sleep(1_200)
  t.notOk(existsSync(late), 'what the command started ended with it')
})
