import { execFileSync, spawnSync } from 'node:child_process'
import { Agent, createServer, get, type IncomingMessage } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as secure } from 'node:tls'
import t from 'tap'
import { Lifecycle } from '../../../service/lifecycle.ts'
import { inheritedSockets } from '../../../service/sockets.ts'

const local = { port: 0, host: '127.0.0.1' }

async function serve(env: NodeJS.ProcessEnv = {}) {
  const lifecycle = new Lifecycle(env, false)
  const answers: (() => void)[] = []
  const server = createServer((request, response) => {
    if (request.url === '/later') answers.push(() => response.end('late'))
    else response.end('now')
  })
  lifecycle.add('http', server, local)
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (path: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ ...local, port, path, agent }, (answer) =>
        answer.resume().once('end', () => resolve(answer)),
      ).once('error', reject)
    })
  return { lifecycle, server, ask, answers }
}

t.test('a kept connection gets one more answer while draining, and is closed by it', async (t) => {
  const { lifecycle, server, ask } = await serve()
  t.equal((await ask('/')).headers.connection, 'keep-alive')
  const drained = lifecycle.drain()
  t.notOk(server.listening, 'no further connection')
  t.equal((await ask('/')).headers.connection, 'close', 'the request that was on its way')
  await drained
  t.match(lifecycle.status(), { state: 'drained', cut: { requests: 0, connections: 0 } })
})

t.test('what was asked is answered, however long it takes within the time', async (t) => {
  const { lifecycle, ask, answers } = await serve()
  const late = ask('/later')
  while (answers.length === 0) await delay(5)
  const heard: Date[] = []
  lifecycle.onDrain(({ deadline }) => void heard.push(deadline))
  lifecycle.onDrain(() => Promise.reject(new Error('this one fails, and harms nobody')))
  const drained = lifecycle.drain()
  t.match(lifecycle.status(), { state: 'draining', requests: 1, connections: 0 })
  t.equal(heard.length, 1)
  answers[0]?.()
  t.equal((await late).headers.connection, 'close')
  await drained
})

t.test('at the end of its time the rest is cut, and counted', async (t) => {
  const { lifecycle, ask, answers } = await serve({ DEPLOYCTL_STOP_SECONDS: '1' })
  const late = ask('/later')
  late.catch(() => {})
  while (answers.length === 0) await delay(5)
  await lifecycle.drain()
  t.match(lifecycle.status(), { state: 'drained', cut: { requests: 1, connections: 0 } })
  await t.rejects(late)
})

t.test(
  'a server that is not HTTP counts its connections, and ends them where that is asked for',
  async (t) => {
    const lifecycle = new Lifecycle({ DEPLOYCTL_LONG_CONNECTIONS: 'close' }, false)
    const server = createTcpServer((socket) => socket.on('error', () => {}))
    lifecycle.add('tcp', server, local)
    await new Promise((resolve) => server.once('listening', resolve))
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
    while (lifecycle.status().connections === 0) await delay(5)
    const closed = new Promise((resolve) => client.once('close', resolve))
    await lifecycle.drain()
    await closed
    t.match(lifecycle.status().cut, { requests: 0, connections: 0 }, 'told to end is not cut')
  },
)

t.test('a WebSocket that is opened on a kept connection while draining is no idle connection', async (t) => {
  const lifecycle = new Lifecycle({}, false)
  const server = createServer((request, response) => response.end('now'))
  server.on('upgrade', (request, socket) => {
    socket.on('end', () => socket.end()).resume()
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
  })
  lifecycle.add('http', server, local)
  await new Promise((resolve) => server.once('listening', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const heard = () => new Promise((resolve) => client.once('data', resolve))
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await heard()
  const drained = lifecycle.drain()
  client.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  await heard()
  await delay(1_500)
  t.equal(lifecycle.status().connections, 1, 'still there after the time of an idle one')
  t.notOk(client.readableEnded)
  client.destroy()
  await drained
})

const noOpenssl =
  spawnSync('openssl', ['version']).status === 0 ? false : 'there is no openssl to make a certificate'
t.test('over TLS it is the same, and a handshake under way is waited for', { skip: noOpenssl }, async (t) => {
  const make = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost'
  const args = [...make.split(' '), '-keyout', '-', '-out', '-']
  const pem = execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const lifecycle = new Lifecycle({}, false)
  const server = createSecureServer({ key: pem, cert: pem }, (request, response) => response.end('now'))
  lifecycle.add('https', server, local)
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const begun = new Promise((resolve) => server.once('connection', resolve))
  const bare = connect(port, '127.0.0.1')
  await begun
  const drained = lifecycle.drain()
  const secured = secure({ socket: bare, rejectUnauthorized: false })
  secured.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  t.match(await text(secured), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n[^]*now/i)
  await drained
  t.same(lifecycle.status().cut, { requests: 0, connections: 0 })
})

t.test('one that is held opens nothing before it is let', async (t) => {
  const lifecycle = new Lifecycle({ DEPLOYCTL_HOLD: '1' }, true)
  const server = createServer()
  lifecycle.add('http', server, local)
  t.notOk(server.listening)
  t.match(lifecycle.status(), { state: 'held', ready: ['http'] })
  await lifecycle.accept()
  t.ok(server.listening)
  t.equal(lifecycle.status().state, 'accepting')
  await lifecycle.drain()
})

t.test('sockets belong to the process that LISTEN_PID names', (t) => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '3', LISTEN_FDNAMES: 'http:admin' }
  t.same(
    [...inheritedSockets(env, 7)],
    [
      ['http', 3],
      ['admin', 4],
      ['socket2', 5],
    ],
  )
  t.equal(inheritedSockets(env, 8).size, 0)
  t.equal(inheritedSockets({}, 7).size, 0)
  t.end()
})
