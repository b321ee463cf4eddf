import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { HostTarget } from '../../controller/config/target.ts'
import { ChannelClient } from '../../controller/transport/channel-client.ts'
import { connectHost, resolveTransport, type ConnectOptions } from '../../controller/transport/connect.ts'
import { apiVersion } from '../../shared/wire/api.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { parserOf } from '../../shared/schema.ts'
import { Hello } from '../../shared/wire/api.ts'
import { makeHome, startHost, type Home, type Host } from '../rig/host.ts'

const helloParser = parserOf(Hello)

function targetOf(
  home: Home,
  host: Pick<Host, 'name' | 'port'>,
  change: Partial<HostTarget> = {},
): HostTarget {
  const { name, port } = host
  return {
    name,
    port,
    user: 'deployctl',
    host: '127.0.0.1',
    transport: 'auto',
    identity: home.loginKey,
    labels: {},
    ...change,
  }
}

const optionsOf = (home: Home, change: Partial<ConnectOptions> = {}): ConnectOptions => ({
  configDir: home.configDir,
  env: home.env,
  asking: {},
  ...change,
})

async function hello(target: HostTarget, options: ConnectOptions) {
  const client = new ChannelClient(await connectHost(target, options), target.name)
  try {
    return await client.get('/v1/hello', helloParser)
  } finally {
    client.close()
  }
}

t.test('HTTP goes through one SSH connection, several requests one after the other', async (t) => {
  const home = await makeHome()
  const host = await startHost(t, home, 'web1')
  const client = new ChannelClient(await connectHost(targetOf(home, host), optionsOf(home)), 'web1')
  t.teardown(() => client.close())
  t.equal((await client.get('/v1/hello', helloParser)).host, 'web1')
  t.equal((await client.get('/v1/hello', helloParser)).api, apiVersion)
  await t.rejects(client.get('/v1/releases/' + 'a'.repeat(64), helloParser), { code: 'E_RELEASE_UNKNOWN' })
  t.ok(client.bytes().sent > 0)
})

t.test('a host key is never accepted silently', async (t) => {
  const home = await makeHome()
  const host = await startHost(t, home, 'web1')
  const key = readFileSync(join(host.dir, 'ssh_host_key.pub'), 'utf8')
  const fingerprint = fingerprintOf(publicKeyBlob(key))
  const knownHosts = join(home.dir, 'known_hosts')
  writeFileSync(knownHosts, '')
  const target = targetOf(home, host)
  await t.rejects(hello(target, optionsOf(home)), {
    code: 'E_HOST_KEY_UNKNOWN',
    message: new RegExp(fingerprint.replaceAll('+', '\\+')),
  })
  await t.rejects(hello(target, optionsOf(home, { hostKey: 'SHA256:other' })), { code: 'E_HOST_KEY_UNKNOWN' })
  const asked: string[] = []
  const asking = { trustKey: async (...shown: string[]) => asked.push(shown.join(' ')) > 0 }
  t.equal((await hello(target, optionsOf(home, { asking }))).host, 'web1')
  t.same(asked, [`[127.0.0.1]:${host.port} ssh-ed25519 ${fingerprint}`])
  t.equal((await hello(target, optionsOf(home))).host, 'web1', 'and then it is remembered')
  const other = generateKey('x').publicKey
  writeFileSync(knownHosts, `[127.0.0.1]:${host.port} ${other}\n`)
  writeFileSync(join(home.configDir, 'known_hosts'), '')
  await t.rejects(hello(target, optionsOf(home, { asking })), { code: 'E_HOST_KEY_CHANGED' })
  writeFileSync(knownHosts, `@revoked * ${key}`)
  await t.rejects(hello(target, optionsOf(home, { asking })), { code: 'E_HOST_KEY_REVOKED' })
})

t.test('a key that is not authorised does not log in', async (t) => {
  const home = await makeHome()
  const host = await startHost(t, home, 'web1')
  const { privateKey } = generateKey('stranger')
  writeFileSync(join(home.dir, 'stranger'), privateKey, { mode: 0o600 })
  const target = targetOf(home, host, { identity: join(home.dir, 'stranger') })
  await t.rejects(hello(target, optionsOf(home)), { code: 'E_SSH_AUTH', message: /stranger/ })
  writeFileSync(
    join(host.dir, 'authorized_keys'),
    `command="x" ${readFileSync(`${home.loginKey}.pub`, 'utf8')}`,
  )
  await t.rejects(
    hello(targetOf(home, host), optionsOf(home)),
    { code: 'E_SSH_AUTH' },
    'options we do not know let nobody in',
  )
})

t.test('the embedded server gives no shell, no command, no forwarding', async (t) => {
  const home = await makeHome()
  const host = await startHost(t, home, 'web1')
  const { default: ssh2 } = await import('ssh2')
  const client = new ssh2.Client()
  t.teardown(() => client.end())
  await new Promise<void>((resolve, reject) => {
    client.once('ready', resolve).once('error', reject)
    client.connect({
      host: '127.0.0.1',
      port: host.port,
      username: 'deployctl',
      privateKey: readFileSync(home.loginKey),
    })
  })
  const attempt = (start: (done: (error?: Error) => void) => void) =>
    new Promise<void>((resolve, reject) => start((error) => (error ? reject(error) : resolve())))
  await t.rejects(
    attempt((done) => client.shell(done)),
    'shell',
  )
  await t.rejects(
    attempt((done) => client.exec('id', done)),
    'exec',
  )
  await t.rejects(
    attempt((done) => client.sftp(done)),
    'sftp',
  )
  await t.rejects(
    attempt((done) => client.forwardOut('127.0.0.1', 1, '127.0.0.1', host.port, done)),
    'forwarding',
  )
})

t.test('a host behind another is reached through it', async (t) => {
  const home = await makeHome()
  const host = await startHost(t, home, 'web1')
  const jump = await startJump(t, home)
  const config = readFileSync(join(home.dir, 'ssh_config'), 'utf8')
  writeFileSync(
    join(home.dir, 'ssh_config'),
    `Host 127.0.0.1\n  ProxyJump me@localhost:${jump}\nHost localhost\n  IdentityFile ${home.loginKey}\n${config}`,
  )
  writeFileSync(join(home.dir, 'known_hosts'), '')
  const asking = { trustKey: async () => true }
  if (!(await hasSsh())) {
    t.comment('skipped: without ssh there is no configuration to take the jump from')
    return
  }
  const { choice, settings } = await resolveTransport(targetOf(home, host), optionsOf(home))
  t.equal(choice.transport, 'ssh2')
  t.same(settings.proxyJump, [`me@localhost:${jump}`])
  t.equal((await hello(targetOf(home, host), optionsOf(home, { asking }))).host, 'web1')
})

t.test('a host that is not there, or says nothing sensible, is said in time', async (t) => {
  const home = await makeHome()
  await t.rejects(hello(targetOf(home, { name: 'web9', port: 1 }), optionsOf(home)), {
    code: 'E_SSH_CONNECT',
    message: /ECONNREFUSED/,
  })
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await t.rejects(hello(targetOf(home, { name: 'web9', port }), optionsOf(home)), { code: 'E_SSH_CONNECT' })
})

async function hasSsh(): Promise<boolean> {
  const { run } = await import('../../controller/process.ts')
  return (await run(['ssh', '-V'])).status === 0
}

/** A small SSH server that forwards, and nothing else. */
async function startJump(t: import('tap').Test, home: Home): Promise<number> {
  const { default: ssh2 } = await import('ssh2')
  const { connect } = await import('node:net')
  const server = new ssh2.Server({ hostKeys: [generateKey('jump').privateKey] }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (context) =>
      context.method === 'publickey' ? context.accept() : context.reject(['publickey']),
    )
    client.on('tcpip', (accept, _reject, { destIP, destPort }) => {
      const channel = accept()
      const socket = connect(destPort, destIP)
      channel.on('error', () => {})
      socket.on('error', () => channel.end())
      channel.pipe(socket).pipe(channel)
    })
  })
  t.ok(home)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
