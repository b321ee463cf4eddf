import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { makeSshServer } from '../../agent/ssh/server.ts'
import type { Acceptor } from '../../agent/api/server.ts'
import { hostTarget } from '../../controller/config/target.ts'
import { History } from '../../controller/history/history.ts'
import { openSession } from '../../controller/push/session.ts'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { asDeployError } from '../../shared/errors.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Type, parserOf } from '../../shared/schema.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { openSigner } from '../../controller/identity/fleet.ts'
import { packType } from '../../shared/wire/api.ts'
import { startCutProxy } from '../rig/cut-proxy.ts'
import { fleetOf, signerOf, startHost, trust } from '../rig/host.ts'
import { makeRig, settled, type Rig } from '../rig/rig.ts'

const anything = parserOf(Type.Unknown())
type Piece = string | Buffer

/** What arrives when somebody who may log in sends these bytes; the code of the answer. */
async function upload(rig: Rig, body: Readable, path = '/v1/services/echo/releases'): Promise<string> {
  using history = new History(':memory:')
  const { port } = rig.host('web1')
  const target = { ...hostTarget('web1', `me@127.0.0.1:${port}`), identity: rig.home.loginKey }
  const fleet = fleetOf(rig.home)
  const { configDir, env } = rig.home
  const session = await openSession(target, { configDir, env, asking: {}, fleet, history })
  try {
    await session.client.post(path, anything, packType, body)
    return 'accepted'
  } catch (error) {
    return asDeployError(error).code
  } finally {
    session.client.close()
  }
}

const packOf = (...pieces: Piece[]) =>
  Readable.from([zstdCompressSync(Buffer.concat(pieces.map((piece) => Buffer.from(piece))))])
const line = (value: unknown) => `${JSON.stringify(value)}\n`
const manifestPieces = (bytes: Buffer, signatures: string[]): Piece[] => [
  line({ release: bytes.length, length: bytes.length, signatures }),
  bytes,
]

/** The release that runs on a host, to be changed by tests. */
function running(rig: Rig): { manifest: Manifest; bytes: Buffer; signatures: string[] } {
  const dir = join(rig.host('web1').dir, 'manifests')
  const name = readdirSync(dir).find((one) => one.endsWith('.json')) ?? ''
  const bytes = readFileSync(join(dir, name))
  const signatures = JSON.parse(readFileSync(join(dir, `${name}.sig`), 'utf8')) as string[]
  return { manifest: JSON.parse(bytes.toString()) as Manifest, bytes, signatures }
}

/** All that an upload could change. */
async function look(rig: Rig) {
  const { dir } = rig.host('web1')
  const { active, seq, version } = await rig.state('web1')
  const list = (name: string) => readdirSync(join(dir, name), { recursive: true }).length
  const counts = [list('blobs'), list('incoming'), list('manifests')]
  const trees = readdirSync(join(dir, 'releases', 'echo')).filter((name) => !name.includes('.'))
  return { active, seq, version, counts, trees, answer: await rig.get('web1') }
}

async function withV1(t: Test) {
  const rig = await makeRig(t)
  const pushed = await rig.cli('push')
  if (pushed.code !== 0) throw new Error(pushed.stderr)
  return rig
}

t.test('what was changed on the way, or signed by nobody we trust, changes nothing', async (t) => {
  const rig = await withV1(t)
  const before = await look(rig)
  const { bytes, signatures } = running(rig)
  const end = line({ end: 1 })
  for (const place of Array.from({ length: 24 }, (_, index) =>
    Math.floor((index * (bytes.length - 1)) / 23),
  )) {
    const tampered = Buffer.from(bytes)
    tampered[place] = (tampered[place] ?? 0) ^ 0x01
    t.equal(await upload(rig, packOf(...manifestPieces(tampered, signatures), end)), 'E_SIGNATURE_INVALID')
  }
  const [signature = ''] = signatures
  for (const place of [40, 120, 200, signature.length - 40]) {
    const other = signature[place] === 'A' ? 'B' : 'A'
    const tampered = signature.slice(0, place) + other + signature.slice(place + 1)
    const code = await upload(rig, packOf(...manifestPieces(bytes, [tampered]), end))
    t.match(code, /^E_SIGNATURE_(FORMAT|INVALID)$|^E_SIGNER_UNKNOWN$/, `byte ${place} of the signature`)
  }
  t.equal(
    await upload(rig, packOf(...manifestPieces(bytes, []), end)),
    'E_PACK_FORMAT',
    'without a signature',
  )
  const { privateKey } = generateKey('stranger')
  const file = join(rig.home.dir, 'stranger')
  writeFileSync(file, privateKey, { mode: 0o600 })
  const stranger = await openSigner({ configDir: rig.home.configDir, key: file })
  const forged = [await stranger.sign(namespaces.release, bytes)]
  t.equal(await upload(rig, packOf(...manifestPieces(bytes, forged), end)), 'E_SIGNER_UNKNOWN')
  const own = await signerOf(rig.home)
  const asOrder = [await own.sign(namespaces.order, bytes)]
  t.match(
    await upload(rig, packOf(...manifestPieces(bytes, asOrder), end)),
    /^E_SIGNATURE_/,
    'a signature for something else',
  )
  t.same(await look(rig), before)
})

t.test('a trusted key does not make a bad release good', async (t) => {
  const rig = await withV1(t)
  const before = await look(rig)
  const { manifest } = running(rig)
  const [file] = manifest.files
  if (!file) throw new Error('no file')
  const own = await signerOf(rig.home)
  const send = async (change: (fresh: Manifest) => unknown) => {
    const fresh = structuredClone(manifest)
    change(fresh)
    const bytes = encodeDocument(fresh)
    const signed = [await own.sign(namespaces.release, bytes)]
    return upload(rig, packOf(...manifestPieces(bytes, signed), line({ end: 1 })))
  }
  const withPaths = (...paths: string[]) =>
    send((fresh) => {
      fresh.files = paths.map((path) => ({ ...file, path }))
    })
  const withLink = (path: string, target: string) =>
    send((fresh) => {
      fresh.links = [{ path, target }]
    })
  for (const path of [
    '../up',
    'a/../../b',
    '/etc/passwd',
    './a',
    'a//b',
    'a/',
    'nul\0byte',
    'back\\slash',
    '.deployctl/x',
  ])
    t.equal(await withPaths(path), 'E_PATH_UNSAFE', JSON.stringify(path))
  t.equal(await withPaths('a'.repeat(300)), 'E_PATH_UNSAFE', 'a name that is too long')
  t.equal(await withPaths(`${'a/'.repeat(600)}b`), 'E_DOCUMENT_INVALID', 'a path that is too long')
  t.equal(await withPaths('a', 'a'), 'E_PATH_UNSAFE', 'twice')
  t.equal(await withPaths('README', 'readme'), 'E_PATH_UNSAFE', 'only case differs')
  t.equal(await withPaths('e\u0301', '\u00e9'), 'E_PATH_UNSAFE', 'only the Unicode form differs')
  t.equal(await withPaths('a', 'a/b'), 'E_PATH_UNSAFE', 'a file and a directory')
  for (const target of ['/etc/passwd', '../x', 'a/../../x'])
    t.equal(await withLink('zlink', target), 'E_PATH_UNSAFE', `a link to ${target}`)
  for (const mode of ['4755', '2755', '0777', 'fifo', 'char'])
    t.equal(
      await send((fresh) => {
        fresh.files = [{ ...file, mode: mode as '0644' }]
      }),
      'E_DOCUMENT_INVALID',
      `mode ${mode}`,
    )
  t.equal(await send((fresh) => Object.assign(fresh, { extra: 1 })), 'E_DOCUMENT_INVALID', 'an unknown field')
  t.equal(
    await send((fresh) => {
      fresh.fleet = 'f'.repeat(32)
    }),
    'E_WRONG_FLEET',
  )
  t.equal(
    await send((fresh) => {
      fresh.service = 'other'
    }),
    'E_WRONG_SERVICE',
  )
  t.equal(
    await send((fresh) => {
      fresh.files = [{ ...file, size: 2 ** 43 }]
    }),
    'E_DOCUMENT_INVALID',
    'a file of eight terabytes',
  )
  t.equal(
    await send((fresh) => {
      fresh.files = Array.from({ length: 200_001 }, (_, index) => ({
        ...file,
        path: String(index).padStart(6, '0'),
      }))
    }),
    'E_DOCUMENT_INVALID',
    'more files than are allowed',
  )
  t.same(await look(rig), before)
})

t.test('a body that lies about its size, or never ends, is cut off', async (t) => {
  const rig = await withV1(t)
  const before = await look(rig)
  const { manifest } = running(rig)
  const own = await signerOf(rig.home)
  const content = Buffer.from('the content')
  const blob = sha256Hex(content)
  const bytes = encodeDocument({
    ...manifest,
    files: [{ path: 'new.txt', mode: '0644', size: content.length, sha256: blob }],
  })
  const start = manifestPieces(bytes, [await own.sign(namespaces.release, bytes)])
  const frame = (header: object, payload: Piece) => [line({ blob, size: content.length, ...header }), payload]
  const announced = 10_000_000 * 150
  t.equal(
    await upload(rig, packOf(line({ release: announced, length: announced, signatures: ['x'] }), 'x')),
    'E_PACK_FORMAT',
    'the manifest of ten million files is refused by its announcement',
  )
  t.equal(
    await upload(
      rig,
      packOf(...start, ...frame({ length: content.length }, 'not content'), line({ end: 2 })),
    ),
    'E_BLOB_MISMATCH',
  )
  t.equal(
    await upload(rig, packOf(...start, ...frame({ length: 2 ** 40 }, content))),
    'E_PACK_FORMAT',
    'longer than promised',
  )
  t.equal(
    await upload(rig, packOf(...start, ...frame({ size: 2 ** 40, length: 2 ** 40 }, content))),
    'E_BLOB_UNEXPECTED',
    'another size than the manifest says',
  )
  t.equal(
    await upload(rig, packOf(...start, line({ blob: 'f'.repeat(64), size: 1, length: 1 }), 'x')),
    'E_BLOB_UNEXPECTED',
    'nobody asked for it',
  )
  t.equal(await upload(rig, packOf(...start)), 'E_PACK_FORMAT', 'without its end')
  t.equal(await upload(rig, Readable.from([randomBytes(100_000)])), 'E_PACK_FORMAT', 'noise')
  const endless = (text: string) =>
    Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(64 * 1024, text)
      })(),
    )
  t.equal(await upload(rig, endless('x')), 'E_PACK_FORMAT', 'noise without an end')
  const bomb = zstdCompressSync(Buffer.alloc(512 * 1024 * 1024, 'x'))
  t.ok(bomb.length < 100_000, 'half a gigabyte in a few kilobytes')
  t.equal(await upload(rig, Readable.from([bomb])), 'E_PACK_FORMAT', 'a header without an end')
  const after = await look(rig)
  t.same({ ...after, counts: [] }, { ...before, counts: [] })
  t.equal(after.counts[0], before.counts[0], 'no content was kept')
  t.equal(after.counts[1], before.counts[1], 'nothing half is left')
})

t.test('a connection that breaks anywhere leaves the old release or the new one', async (t) => {
  const rig = await withV1(t)
  const host = rig.host('web1')
  const proxy = await startCutProxy(t, host.port)
  trust(rig.home, { ...host, port: proxy.port })
  rig.configure({ hosts: [{ name: 'web1', port: proxy.port }], environment: '    confirmSeconds: 3' })
  writeFileSync(join(rig.project, 'noise.bin'), randomBytes(300_000))
  let serving = 'v1'
  for (const [index, bytes] of [20, 1200, 2500, 3500, 5000, 100_000, 303_000, 306_000].entries()) {
    const version = `c${index}`
    rig.version(version)
    proxy.cutAfter(bytes)
    const ran = await rig.cli('push', '--json')
    const state = await settled(rig, 'web1')
    t.not(ran.code, 1, `cut after ${bytes} bytes: ${ran.stdout}`)
    serving = state.version === null ? 'none' : await rig.get('web1')
    t.ok(/^(v1|c\d)$/.test(serving), `cut after ${bytes} bytes: exit ${ran.code}, ${serving} serves`)
    if (ran.code === 0) t.equal(serving, version)
    else t.match(ran.stdout, /"code":"E_[A-Z_]+"/)
    t.match(state.instances, [{ state: 'running' }])
  }
  proxy.cutAfter(Number.POSITIVE_INFINITY)
  rig.version('whole')
  t.equal((await rig.cli('push')).code, 0)
  t.equal(await rig.get('web1'), 'whole')
})

const mountSmall = (dir: string) =>
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=72m', 'tmpfs', dir], { stdio: 'pipe' })
const unmount = (dir: string) => void execFileSync('umount', ['--lazy', dir])

function cannotMount(): false | string {
  const dir = mkdtempSync(join(tmpdir(), 'small-'))
  try {
    mountSmall(dir)
    unmount(dir)
    return false
  } catch {
    return 'only root can mount a small file system'
  }
}

const fullDisk = 'a full disk is said before anything is written, and a rollback works on it'
t.test(fullDisk, { skip: cannotMount() }, async (t) => {
  const rig = await makeRig(t, [])
  const dir = join(rig.home.dir, 'web1')
  mkdirSync(dir)
  mountSmall(dir)
  t.teardown(() => unmount(dir))
  rig.hosts.push(await startHost(t, rig.home, 'web1'))
  rig.configure()
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  t.equal((await rig.cli('push')).code, 0)
  writeFileSync(join(rig.project, 'large.bin'), randomBytes(40 * 1024 * 1024))
  const large = await rig.cli('push')
  t.equal(large.code, 7, large.stderr)
  t.match(large.stderr, /E_DISK_FULL .*needed, .*free/)
  rmSync(join(rig.project, 'large.bin'))
  t.throws(() => writeFileSync(join(dir, 'filler'), Buffer.alloc(80 * 1024 * 1024)), { code: 'ENOSPC' })
  rig.version('v3')
  const full = await rig.cli('push')
  t.equal(full.code, 7, full.stderr)
  t.match(full.stderr, /E_DISK_FULL/)
  t.equal(await rig.get('web1'), 'v2')
  const back = await rig.cli('rollback')
  t.equal(back.code, 0, back.stderr)
  t.equal(await rig.get('web1'), 'v1')
  rmSync(join(dir, 'filler'))
  t.equal((await rig.cli('push')).code, 0)
  t.equal(await rig.get('web1'), 'v3')
})

/** A host whose SSH is right and whose agent is not. */
async function oddHost(t: Test, rig: Rig, name: string, accept: Acceptor) {
  const dir = join(rig.home.dir, name)
  mkdirSync(dir)
  writeFileSync(join(dir, 'authorized_keys'), readFileSync(`${rig.home.loginKey}.pub`))
  const server = makeSshServer({
    hostKeyFile: join(dir, 'ssh_host_key'),
    authorizedKeysFiles: [join(dir, 'authorized_keys')],
    isRevoked: () => false,
    accept,
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const host = { ...rig.host('web1'), name, dir, port }
  trust(rig.home, host)
  return host
}

t.test('a host that answers garbage, or speaks another version, stops the push everywhere', async (t) => {
  const rig = await withV1(t)
  const answer = (body: string) =>
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  const { root } = fleetOf(rig.home)
  const hello = (api: number, agent: string) =>
    JSON.stringify({
      api,
      agent,
      host: 'odd',
      fleet: root.fleet,
      root: { version: 1, digest: 'a'.repeat(64) },
      receiptKey: root.keys[0]?.key,
      now: new Date().toISOString(),
    })
  const cases: [string, Acceptor, RegExp][] = [
    ['noise', (stream) => stream.end(randomBytes(4096)), /E_(HOST_ANSWER|CONNECTION_LOST) /],
    ['silence', (stream) => stream.end(), /E_CONNECTION_LOST /],
    ['not JSON', (stream) => stream.end(answer('<html>')), /E_HOST_ANSWER .*not JSON/],
    ['another shape', (stream) => stream.end(answer('{"api":2}')), /E_HOST_ANSWER /],
    [
      'an older agent',
      (stream) => stream.end(answer(hello(0, '0.0.1'))),
      /E_API_VERSION .*0\.0\.1.*Upgrade/s,
    ],
    ['a newer agent', (stream) => stream.end(answer(hello(9, '9.0.0'))), /E_API_VERSION .*9\.0\.0/],
    [
      'an answer without an end',
      (stream) => {
        stream.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n')
        Readable.from(
          (function* () {
            for (;;) yield Buffer.alloc(256 * 1024, ' ')
          })(),
        )
          .on('error', () => {})
          .pipe(stream)
      },
      /E_HOST_ANSWER .*too long/,
    ],
  ]
  rig.version('v2')
  for (const [index, [what, accept, expected]] of cases.entries()) {
    const odd = await oddHost(t, rig, `odd${index}`, accept)
    rig.configure({ hosts: [rig.host('web1'), { name: 'odd', port: odd.port }] })
    const ran = await rig.cli('push')
    t.match(ran.stderr, expected, what)
    t.ok([6, 11].includes(ran.code ?? 0), `${what}: exit ${ran.code}`)
    t.equal(await rig.get('web1'), 'v1', what)
  }
})
