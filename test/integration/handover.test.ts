import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { addControlSocket, handingOverRig, useLibrary } from '../rig/handing-over.ts'
import { startLoad } from '../rig/load.ts'
import { makeRig, type Rig } from '../rig/rig.ts'

const everything = { kept: 16, fresh: 4, large: 2, slow: 2, webSockets: 2, eventStreams: 2, pauseMs: 5 }

const urlOf = async (rig: Rig) => `http://${(await rig.state('web1')).addresses['http']}/`

t.test('releases follow each other under load, and no request fails', async (t) => {
  const rig = await handingOverRig(t)
  await using load = startLoad({ url: await urlOf(rig), ...everything })
  // As many as one likes: HANDOVERS=50.
  const handovers = Number(process.env['HANDOVERS'] ?? 6)
  const versions = Array.from({ length: handovers }, (_, n) => `v${n + 2}`)
  for (const version of versions) {
    rig.version(version)
    const { code, stdout, stderr } = await rig.cli('push')
    t.equal(code, 0, stderr)
    t.match(stdout, /committed by handover/)
  }
  const { good, bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.ok(good > 100, `${good} answers`)
  t.same(Object.keys(releases).sort(), ['v1', ...versions].sort(), 'each release had its share')
  t.ok(reconnects >= versions.length * 4, `${reconnects} streams came back`)
  t.equal((await rig.state('web1')).instances.length, 1)
})

const faults: [version: string, says: RegExp][] = [
  ['crash', /E_SERVICE_START .*it ended \(exit 3\)/],
  ['mute', /E_PROBE_FAILED .*it does not listen on http yet/],
  ['dies', /E_SERVICE_START .*it ended \(exit 4\)/],
  ['sick', /E_PROBE_FAILED .*http \/: 500/],
  ['sick-chatty', /E_PROBE_FAILED/],
]

t.test('a release that is not well takes no request: the old one serves throughout', async (t) => {
  const rig = await handingOverRig(t)
  const file = join(rig.project, 'deploy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('minHealthySeconds: 0.1', 'minHealthySeconds: 0.4'))
  const url = await urlOf(rig)
  const before = (await (await fetch(url)).text()).trim()
  await using load = startLoad({ url, ...everything })
  for (const [version, says] of faults)
    await t.test(version, async (t) => {
      rig.version(version)
      const { code, stderr } = await rig.cli('push')
      t.equal(code, 8, stderr)
      t.match(stderr, says)
      t.match(stderr, /Production is safe/)
      t.equal((await (await fetch(url)).text()).trim(), before, 'the very same process')
      t.equal((await rig.state('web1')).instances.length, 1)
    })
  const { bad, releases, reconnects } = await load.stop()
  t.same(bad, [])
  t.same(Object.keys(releases), ['v1'])
  t.equal(reconnects, 0, 'no stream was ended either')
})

const plainApps: [name: string, code: string][] = [
  [
    'node:http',
    `import { createServer } from 'node:http'
     createServer((request, response) => response.end(\`\${version} \${process.pid}\\n\`)).listen(process.env.PORT)`,
  ],
  [
    'Fastify',
    `import fastify from '${import.meta.resolve('fastify')}'
     const app = fastify()
     app.get('/', async () => \`\${version} \${process.pid}\\n\`)
     await app.listen({ port: Number(process.env.PORT) })`,
  ],
  [
    'socket-activated',
    `import { createServer } from 'node:http'
     createServer((request, response) => response.end(\`\${version} \${process.pid}\\n\`)).listen({ fd: 3 })`,
  ],
]

for (const [name, code] of plainApps)
  t.test(`a ${name} app that knows nothing of us is handed over with no line changed`, async (t) => {
    const rig = await makeRig(t)
    const source = `import { readFileSync } from 'node:fs'\nconst version = readFileSync('version.txt', 'utf8').trim()\n${code}\n`
    writeFileSync(join(rig.project, 'server.mjs'), source)
    rig.configure({ run: '  adopt: true' })
    addControlSocket(rig.project)
    const file = join(rig.project, 'deploy.yaml')
    // Loading a framework takes its time on a busy machine.
    writeFileSync(file, readFileSync(file, 'utf8').replace('deadlineSeconds: 1', 'deadlineSeconds: 10'))
    const first = await rig.cli('push')
    t.equal(first.code, 0, first.stderr)
    await using load = startLoad({ url: await urlOf(rig), kept: 8, fresh: 4 })
    for (const version of ['v2', 'v3', 'v4']) {
      rig.version(version)
      const { code: status, stdout, stderr } = await rig.cli('push')
      t.equal(status, 0, stderr)
      t.match(stdout, /committed by handover/)
    }
    const { bad, releases } = await load.stop()
    t.same(bad, [])
    t.same(Object.keys(releases).sort(), ['v1', 'v2', 'v3', 'v4'])
  })

t.test('at the end of its time what is left is cut off, and the push says so', async (t) => {
  const rig = await handingOverRig(t, '{ seconds: 2, longConnections: wait }')
  const url = await urlOf(rig)
  const hanging = fetch(`${url}hang`).catch((error: Error) => error)
  const socket = new WebSocket(url.replace('http', 'ws'))
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  const closed = new Promise<number>((resolve) =>
    socket.addEventListener('close', (event) => resolve(event.code)),
  )
  rig.version('v2')
  const ran = await rig.cli('push')
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stderr, /the old release finishes 1 request and 1 long connection/)
  t.match(
    ran.stdout,
    /the old release ended at the end of its time, .*; cut off: 1 request and 1 long connection/,
  )
  t.equal(await closed, 1012, 'a WebSocket is told to come back')
  t.ok((await hanging) instanceof Error)
  t.match((await rig.cli('history', '--json')).stdout, /"cut"/)
})

t.test('a new release that dies while the old one drains is replaced by the old one at once', async (t) => {
  const rig = await handingOverRig(t, '{ seconds: 20, longConnections: wait }')
  const url = await urlOf(rig)
  const hanging = fetch(`${url}hang`).catch((error: Error) => error)
  rig.version('v2')
  const pushing = rig.cli('push')
  const isNew = async () =>
    (await (await fetch(url, { headers: { connection: 'close' } })).text()).startsWith('v2')
  while ((await rig.state('web1')).deploying === null || !(await isNew())) await delay(20)
  while (((await rig.state('web1')).deploying as { state: string } | null)?.state !== 'draining')
    await delay(20)
  // The old one has heard of it by then.
  await delay(300)
  await fetch(`${url}die`).catch(() => {})
  const began = performance.now()
  t.match(await (await fetch(url)).text(), /^v1 /)
  t.ok(performance.now() - began < 10_000, 'long before the old one has drained')
  const { code, stderr } = await pushing
  t.equal(code, 8, stderr)
  t.match(stderr, /it ended \(exit 5\) while the old one drained/)
  await hanging
  rig.version('v3')
  t.equal((await rig.cli('push')).code, 0)
  t.match(await (await fetch(url)).text(), /^v3 /)
})

t.test('what only one can use is restarted, and the plan says why', async (t) => {
  const rig = await handingOverRig(t)
  const file = join(rig.project, 'deploy.yaml')
  writeFileSync(file, `${readFileSync(file, 'utf8')}\nactivation: { exclusive: [data.sqlite] }\n`)
  t.match((await rig.cli('plan')).stdout, /restart, .*only one instance at a time can use data\.sqlite/s)
  t.match(await rig.cli('push', '--strategy', 'handover'), {
    code: 7,
    stderr: /what was asked for cannot be: only one .* data\.sqlite/,
  })
  const pushed = await rig.cli('push')
  t.match(pushed.stdout, /committed by restart/, pushed.stderr)
})

t.test('a worker without a socket overlaps where deploy.yaml says so', async (t) => {
  const rig = await makeRig(t)
  const worker = `import { appendFileSync, readFileSync } from 'node:fs'
    const say = (what) => appendFileSync(process.env.STATE_DIRECTORY + '/log', readFileSync('version.txt', 'utf8').trim() + ' ' + what + '\\n')
    say('begins'); setInterval(() => {}, 1000)
    process.once('SIGTERM', () => { say('ends'); process.exit(0) })`
  writeFileSync(join(rig.project, 'server.mjs'), worker)
  const file = join(rig.project, 'deploy.yaml')
  const plain = readFileSync(file, 'utf8')
    .replace(/ {2}sockets:.*\n/, '')
    .replace(/ {2}probes:.*\n/, '')
  const log = () =>
    readFileSync(join(rig.host('web1').dir, 'state/echo/log'), 'utf8')
      .trim()
      .split('\n')
  writeFileSync(file, `${plain}\nactivation: { overlap: true }\n`)
  for (const version of ['v1', 'v2']) {
    rig.version(version)
    t.equal((await rig.cli('push')).code, 0)
  }
  t.same(log(), ['v1 begins', 'v2 begins', 'v1 ends'])
  writeFileSync(file, plain)
  rig.version('v3')
  t.equal((await rig.cli('push')).code, 0)
  t.same(log().slice(3), ['v2 ends', 'v3 begins'])
})

t.test('IPv6, a Unix path and several sockets are handed over alike; UDP is restarted', async (t) => {
  const rig = await makeRig(t)
  const path = join(rig.home.dir, 'web.sock')
  const server = `import { createServer } from 'node:http'
    import { readFileSync } from 'node:fs'
    import { listen } from './library/index.mjs'
    const version = readFileSync('version.txt', 'utf8').trim()
    for (const socket of ['six', 'path']) listen((request, response) => response.end(version + '\\n'), { socket })`
  writeFileSync(join(rig.project, 'server.mjs'), server)
  await useLibrary(rig.project)
  const file = join(rig.project, 'deploy.yaml')
  const configure = (more: string) => {
    const sockets = `  sockets: [{ name: six, host: '::1', port: 0 }, { name: path, path: '${path}' }${more}, { name: deployctl, private: true }]`
    writeFileSync(file, readFileSync(file, 'utf8').replace(/ {2}sockets: .*/, sockets))
  }
  configure('')
  t.equal((await rig.cli('push')).code, 0)
  const { addresses } = await rig.state('web1')
  t.match(addresses['six'], /^\[::1\]:\d+$/)
  await using load = startLoad({ url: `http://${addresses['six']}/`, kept: 4 })
  rig.version('v2')
  t.match((await rig.cli('push')).stdout, /committed by handover/)
  t.same((await load.stop()).bad, [])
  const byPath = await new Promise((resolve) => {
    request({ socketPath: path, path: '/' }, (answer) => resolve(text(answer))).end()
  })
  t.equal(byPath, 'v2\n')
  configure(', { name: quic, host: 127.0.0.1, port: 0, type: udp }')
  rig.version('v3')
  t.match((await rig.cli('push')).stdout, /committed by restart/)
  rig.version('v4')
  t.match((await rig.cli('plan')).stdout, /two processes cannot share the udp socket "quic"/)
})
