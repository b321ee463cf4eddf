import t from 'tap'
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { applyDifference, differenceOf, packStream, readPack, type Frame } from '../../../shared/wire/pack.ts'

const digest = 'a'.repeat(64)
const blob = (payload: Uint8Array): Frame => ({
  header: { blob: digest, size: payload.length, length: payload.length },
  payload: Readable.from([payload]),
})

async function unpack(packed: Readable): Promise<Buffer[]> {
  const found: Buffer[] = []
  await readPack(packed, async ({ payload }) => {
    const parts: Uint8Array[] = []
    for await (const part of payload) parts.push(part)
    found.push(Buffer.concat(parts))
  })
  return found
}
const inPieces = (bytes: Buffer, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    ),
  )

t.test('what was packed comes out, however the stream is cut into chunks', async (t) => {
  const arbitrary = fc.tuple(
    fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
    fc.integer({ min: 1, max: 50 }),
  )
  await fc.assert(
    fc.asyncProperty(arbitrary, async ([payloads, size]) => {
      const packed = await buffer(packStream(payloads.map(blob)))
      const found = await unpack(inPieces(packed, size))
      t.strictSame(
        found,
        payloads.map((one) => Buffer.from(one)),
      )
    }),
    { numRuns: 100 },
  )
})

t.test('a frame nobody reads is skipped, and a frame that is not wanted ends the reading', async (t) => {
  const frames = () => packStream([blob(randomBytes(100_000)), blob(Buffer.from('second'))])
  let seen = 0
  await readPack(frames(), async () => void (seen += 1))
  t.equal(seen, 2)
  await t.rejects(
    readPack(frames(), async () => Promise.reject(new Error('not wanted'))),
    { message: 'not wanted' },
  )
})

t.test('a pack cut anywhere is refused, unless all of it had arrived', async (t) => {
  const payloads = [randomBytes(40), Buffer.from('second')]
  const packed = await buffer(packStream(payloads.map(blob)))
  let refused = 0
  for (let length = 0; length < packed.length; length++)
    await unpack(Readable.from([packed.subarray(0, length)])).then(
      // What may be missing is the end of the compression, behind our own end line.
      (found) => t.strictSame(found, payloads, `cut at ${length}`),
      (error: { code: string }) => t.equal(error.code, 'E_PACK_FORMAT', `cut ${(refused += 1)}`),
    )
  t.ok(refused > packed.length / 2)
})

t.test('a pack that ends between two frames is refused', async (t) => {
  const one = `{"blob":"${digest}","size":1,"length":1}\nx`
  const cut = (text: string) => unpack(Readable.from([zstdCompressSync(Buffer.from(text))]))
  t.same(await cut(`${one}{"end":1}\n`), [Buffer.from('x')])
  await t.rejects(cut(one), { code: 'E_PACK_FORMAT' })
  await t.rejects(cut(`${one}{"end":2}\n`), { code: 'E_PACK_FORMAT' })
})

t.test('a connection that breaks is refused and not waited for', async (t) => {
  const packed = await buffer(packStream([blob(randomBytes(40))]))
  const source = new Readable({ read() {} })
  source.push(packed.subarray(0, 30))
  setImmediate(() => source.destroy())
  await t.rejects(unpack(source), { code: 'E_PACK_FORMAT' })
})

t.test('garbage, wrong headers and endless headers are refused', async (t) => {
  const bad = [
    Buffer.from('not zstd'),
    zstdCompressSync(Buffer.from('not json\n')),
    zstdCompressSync(Buffer.from('{"blob":"../x","size":1,"length":1}\nx')),
    zstdCompressSync(Buffer.from(`{"blob":"${digest}","size":1,"length":1,"more":1}\nx`)),
    zstdCompressSync(Buffer.from(`{"blob":"${digest}","size":1,"length":-1}\nx`)),
    zstdCompressSync(Buffer.alloc(50_000_000, 'x')),
  ]
  for (const bytes of bad) await t.rejects(unpack(Readable.from([bytes])), { code: 'E_PACK_FORMAT' })
})

t.test('a sender that promised another length does not send it in silence', async (t) => {
  const wrong = { ...blob(Buffer.from('abc')), header: { blob: digest, size: 4, length: 4 } }
  await t.rejects(buffer(packStream([wrong])), { code: 'E_PACK_FORMAT' })
})

t.test('one line changed in 5 MB costs less than 4 kB', (t) => {
  const base = Buffer.from(randomBytes(2_500_000).toString('hex'))
  const next = Buffer.concat([
    base.subarray(0, 2_000_000),
    Buffer.from('one more line'),
    base.subarray(2_000_000),
  ])
  const packed = differenceOf(base, next)
  t.ok(packed && packed.length < 4_096, `${packed?.length} bytes`)
  t.ok(packed && applyDifference(base, packed, next.length).equals(next))
  t.end()
})

t.test('a manifest with one digest changed is a tiny difference, though all its lines look alike', (t) => {
  const entries = Array.from({ length: 10_000 }, (_, index) => ({
    mode: '0644',
    path: `node_modules/package-${index % 97}/lib/file-${index}.js`,
    sha256: randomBytes(32).toString('hex'),
    size: index * 7,
  }))
  const base = Buffer.from(JSON.stringify(entries))
  const changed = entries.with(5000, { ...entries[0]!, path: 'changed.js', size: 1 })
  const next = Buffer.from(JSON.stringify(changed))
  const packed = differenceOf(base, next)
  const smallTable = zstdCompressSync(next, {
    dictionary: base,
    params: { [constants.ZSTD_c_windowLog]: 24 },
  })
  t.comment(`${packed?.length} bytes; with zstd's own size of the hash table ${smallTable.length}`)
  t.ok(packed && packed.length < 1_024, `${packed?.length} bytes`)
  t.ok(packed && applyDifference(base, packed, next.length).equals(next))
  t.end()
})

t.test('a difference to another base, or of another size than announced, is refused', (t) => {
  const [base, next] = [randomBytes(10_000), randomBytes(5_000)]
  const packed = differenceOf(base, next) ?? Buffer.alloc(0)
  t.throws(() => applyDifference(base, packed, next.length - 1), { code: 'E_PACK_FORMAT' })
  t.throws(() => applyDifference(base, packed, next.length + 1), { code: 'E_PACK_FORMAT' })
  const bomb = zstdCompressSync(Buffer.alloc(50_000_000))
  t.throws(() => applyDifference(base, bomb, 1_000), { code: 'E_PACK_FORMAT' })
  t.end()
})
