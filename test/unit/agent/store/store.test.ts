import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Blobs, type BlobFrame } from '../../../../agent/store/blobs.ts'
import { Releases } from '../../../../agent/store/releases.ts'
import { Ballast, checkSpace } from '../../../../agent/store/space.ts'
import type { Manifest } from '../../../../shared/formats/manifest.ts'
import { differenceOf } from '../../../../shared/wire/pack.ts'

const sha = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')

async function* chunks(...parts: (string | Error)[]) {
  for (const part of parts) {
    if (part instanceof Error) throw part
    yield Buffer.from(part)
  }
}

function frame(content: string, parts: (string | Error)[] = [content], offset = 0): BlobFrame {
  const size = Buffer.byteLength(content)
  const header = { blob: sha(content), size, length: size - offset, ...(offset > 0 && { offset }) }
  return { header, payload: chunks(...parts) }
}

function manifestOf(files: Record<string, string>, extra: Partial<Manifest> = {}): Manifest {
  return {
    spec: 'deployctl/release/v1',
    fleet: '0'.repeat(32),
    service: 'shop',
    version: 'v1',
    created: '2026-01-01T00:00:00.000Z',
    files: Object.entries(files)
      .map(([path, content]) => ({
        path,
        mode: path.endsWith('.sh') ? ('0755' as const) : ('0644' as const),
        size: Buffer.byteLength(content),
        sha256: sha(content),
      }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
    links: [],
    emptyDirs: [],
    run: { argv: ['x'] },
    health: {},
    activation: {},
    minimumAgent: 1,
    provenance: { commit: null, dirty: false, builder: 'test', lockfile: null },
    ...extra,
  }
}

const makeDir = () => mkdtempSync(join(tmpdir(), 'store-'))

async function filled(dir: string, contents: string[]) {
  const blobs = new Blobs(dir)
  const upload = blobs.upload()
  for (const content of contents) await upload.add(frame(content))
  await upload.finish()
  return blobs
}

t.test('a content is there after the upload is finished, and after a restart', async (t) => {
  const dir = makeDir()
  const blobs = new Blobs(dir)
  const upload = blobs.upload()
  await upload.add(frame('hello'))
  t.notOk(blobs.has(sha('hello')), 'not before it is durable')
  await upload.finish()
  t.ok(blobs.has(sha('hello')))
  t.ok(new Blobs(dir).has(sha('hello')))
  t.equal(blobs.read(sha('hello')).toString(), 'hello')
  t.equal(statSync(blobs.objectFor(sha('hello'), false)).mode & 0o777, 0o444)
})

t.test('a content that is not what it says is refused, and the others stay', async (t) => {
  const blobs = new Blobs(makeDir())
  const upload = blobs.upload()
  await upload.add(frame('good'))
  await t.rejects(upload.add(frame('fine', ['fake'])), { code: 'E_BLOB_MISMATCH' })
  await upload.finish()
  t.ok(blobs.has(sha('good')))
  t.notOk(blobs.has(sha('fine')))
  t.equal(blobs.partialSize(sha('fine')), 0)
})

t.test('a cut upload is continued where it stopped', async (t) => {
  const blobs = new Blobs(makeDir())
  const content = 'a'.repeat(1000) + 'b'.repeat(1000)
  const first = blobs.upload()
  await t.rejects(first.add(frame(content, ['a'.repeat(1000), new Error('cut')])), /cut/)
  await first.finish()
  t.equal(blobs.partialSize(sha(content)), 1000)
  const wrong = blobs.upload()
  await t.rejects(wrong.add(frame(content, ['b'.repeat(10)], 1990)), { code: 'E_BASE_UNKNOWN' })
  await t.rejects(blobs.upload().add(frame(content, ['b'.repeat(1000)], 1000)), { code: 'E_BASE_UNKNOWN' })
  const again = blobs.upload()
  await t.rejects(again.add(frame(content, ['a'.repeat(1000), new Error('cut')])), /cut/)
  const second = blobs.upload()
  await second.add(frame(content, ['b'.repeat(1000)], 1000))
  await second.finish()
  t.equal(blobs.read(sha(content)).toString(), content)
  t.equal(statSync(blobs.objectFor(sha(content), false)).mode & 0o777, 0o444)
})

t.test('a content comes as a difference to another', async (t) => {
  const [before, after] = ['x'.repeat(5000), `${'x'.repeat(5000)}y`]
  const blobs = await filled(makeDir(), [before])
  const packed = differenceOf(Buffer.from(before), Buffer.from(after)) ?? Buffer.alloc(0)
  const header = { blob: sha(after), size: after.length, length: packed.length, base: sha(before) }
  const upload = blobs.upload()
  async function* payload() {
    yield packed
  }
  await upload.add({ header, payload: payload() })
  await t.rejects(upload.add({ header: { ...header, base: sha('?') }, payload: payload() }), {
    code: 'E_BASE_UNKNOWN',
  })
  await t.rejects(upload.add({ header: { ...header, blob: sha('?') }, payload: payload() }), {
    code: 'E_BLOB_MISMATCH',
  })
  await upload.finish()
  t.equal(blobs.read(sha(after)).toString(), after)
})

t.test('a release is staged as a read-only tree, and staging again changes nothing', async (t) => {
  const dir = makeDir()
  const blobs = await filled(dir, ['one', '#!/bin/sh\n'])
  const releases = new Releases(dir, blobs)
  const manifest = manifestOf(
    { 'lib/deep/a.js': 'one', 'b.js': 'one', 'run.sh': '#!/bin/sh\n', 'plain.txt': '#!/bin/sh\n' },
    { links: [{ path: 'lib/link', target: 'deep/a.js' }], emptyDirs: ['lib/empty/inner', 'void'] },
  )
  t.same(releases.missing(manifest), [])
  await releases.stage('shop', 'd1', manifest)
  await releases.stage('shop', 'd1', manifest)
  const tree = releases.treeOf('shop', 'd1')
  t.equal(readFileSync(join(tree, 'lib/link'), 'utf8'), 'one')
  t.equal(readlinkSync(join(tree, 'lib/link')), 'deep/a.js')
  t.equal(statSync(join(tree, 'run.sh')).mode & 0o777, 0o555)
  t.equal(statSync(join(tree, 'plain.txt')).mode & 0o777, 0o444)
  t.equal(statSync(join(tree, 'lib')).mode & 0o777, 0o555)
  t.ok(lstatSync(join(tree, 'lib/empty/inner')).isDirectory())
  t.same(readdirSync(join(dir, 'releases', 'shop')), ['d1'])
})

t.test('a spare tree becomes the tree of the next release by its differences alone', async (t) => {
  const dir = makeDir()
  const blobs = await filled(dir, ['one', 'two', '#!/bin/sh\n'])
  const releases = new Releases(dir, blobs)
  const before = manifestOf(
    { 'lib/deep/a.js': 'one', 'lib/b.js': 'one', 'old/only/x': 'two', 'run.sh': '#!/bin/sh\n', swap: 'one' },
    { links: [{ path: 'link', target: 'lib/b.js' }], emptyDirs: ['void'] },
  )
  const after = manifestOf(
    {
      'lib/deep/a.js': 'two',
      'lib/b.js': 'one',
      'new/dir/y': 'two',
      'run.sh': '#!/bin/sh\n',
      'swap/in': 'one',
    },
    { links: [{ path: 'link', target: 'lib/deep/a.js' }], emptyDirs: ['old'] },
  )
  const look = (tree: string) =>
    readdirSync(tree, { recursive: true, withFileTypes: true })
      .map((entry) => {
        const path = join(entry.parentPath, entry.name)
        const { mode, ino } = lstatSync(path)
        const what = entry.isDirectory() ? 'dir' : entry.isSymbolicLink() ? readlinkSync(path) : ino
        return `${path.slice(tree.length)} ${mode & 0o777} ${what}`
      })
      .sort()
  releases.save('d1', { manifest: before, bytes: Buffer.from('{}'), signatures: [] })
  await releases.stage('shop', 'd1', before)
  const first = look(releases.treeOf('shop', 'd1'))
  await releases.makeSpare('shop')
  t.same(readdirSync(join(dir, 'releases', 'shop')).sort(), ['d1', 'd1.spare'])
  const { ino } = statSync(join(dir, 'releases', 'shop', 'd1.spare', 'lib'))
  await releases.stage('shop', 'd2', after)
  t.same(readdirSync(join(dir, 'releases', 'shop')).sort(), ['d1', 'd2'])
  t.equal(statSync(join(releases.treeOf('shop', 'd2'), 'lib')).ino, ino, 'it is the spare tree')
  t.same(look(releases.treeOf('shop', 'd1')), first, 'the old release is as it was')
  const whole = new Releases(makeDir(), blobs)
  await whole.stage('shop', 'd2', after)
  t.same(look(releases.treeOf('shop', 'd2')), look(whole.treeOf('shop', 'd2')))
})

t.test('a spare tree that somebody changed is not used', async (t) => {
  const dir = makeDir()
  const releases = new Releases(dir, await filled(dir, ['one', 'two']))
  const manifest = manifestOf({ 'lib/a': 'one' })
  releases.save('d1', { manifest, bytes: Buffer.from('{}'), signatures: [] })
  await releases.stage('shop', 'd1', manifest)
  await releases.makeSpare('shop')
  const lib = join(dir, 'releases', 'shop', 'd1.spare', 'lib')
  chmodSync(lib, 0o755)
  unlinkSync(join(lib, 'a'))
  await releases.stage('shop', 'd2', manifestOf({ 'lib/a': 'two' }))
  t.equal(readFileSync(join(releases.treeOf('shop', 'd2'), 'lib', 'a'), 'utf8'), 'two')
})

t.test('staging without a content fails and leaves nothing', async (t) => {
  const dir = makeDir()
  const releases = new Releases(dir, await filled(dir, ['one']))
  await t.rejects(releases.stage('shop', 'd1', manifestOf({ a: 'one', b: 'two' })), { code: 'E_STORE' })
  t.same(readdirSync(join(dir, 'releases', 'shop')), [])
})

t.test('pruning removes what nothing needs and keeps what something does', async (t) => {
  const dir = makeDir()
  const blobs = await filled(dir, ['one', 'two', 'shared'])
  const releases = new Releases(dir, blobs)
  const [first, second] = [manifestOf({ a: 'one', s: 'shared' }), manifestOf({ a: 'two', s: 'shared' })]
  for (const [digest, manifest] of [
    ['d1', first],
    ['d2', second],
  ] as const) {
    releases.save(digest, { manifest, bytes: Buffer.from(JSON.stringify(manifest)), signatures: ['s'] })
    await releases.stage('shop', digest, manifest)
  }
  const longAgo = new Date(Date.now() - 48 * 60 * 60 * 1000)
  for (const name of readdirSync(join(dir, 'manifests')))
    utimesSync(join(dir, 'manifests', name), longAgo, longAgo)
  await releases.prune(new Map([['shop', new Set(['d2'])]]))
  t.same(releases.staged('shop'), ['d2'])
  t.same([...blobs.all()].sort(), [sha('two'), sha('shared')].sort())
  t.equal(releases.find('d1'), null)
  t.same(new Releases(dir, blobs).find('d2')?.signatures, ['s'])
})

t.test('what arrives while others are pruned stays', async (t) => {
  const dir = makeDir()
  const blobs = await filled(dir, ['one', 'late', 'again'])
  const releases = new Releases(dir, blobs)
  const save = (digest: string, manifest: Manifest) =>
    releases.save(digest, { manifest, bytes: Buffer.from(JSON.stringify(manifest)), signatures: [] })
  const again = manifestOf({ a: 'again' })
  save('d1', manifestOf({ a: 'one' }))
  save('d3', again)
  const longAgo = new Date(Date.now() - 48 * 60 * 60 * 1000)
  utimesSync(join(dir, 'manifests', 'd3.json'), longAgo, longAgo)
  save('d3', again)
  const pruning = releases.prune(new Map())
  save('d2', manifestOf({ a: 'late' }))
  await pruning
  t.ok(blobs.has(sha('late')), 'of a manifest that came while the others were read')
  t.ok(blobs.has(sha('again')), 'of an old one that was sent again')
})

t.test('no room is said before anything is written', async (t) => {
  const dir = makeDir()
  t.throws(() => checkSpace(dir, 'web1', Number.MAX_SAFE_INTEGER, 1), { code: 'E_DISK_FULL' })
  const ballast = new Ballast(dir)
  ballast.restore()
  t.equal(statSync(join(dir, 'ballast')).size, 8 * 1024 * 1024)
  ballast.drop()
  t.notOk(existsSync(join(dir, 'ballast')))
})
