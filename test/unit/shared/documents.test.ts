import t from 'tap'
import fc from 'fast-check'
import { encodeDocument, parseDocument } from '../../../shared/documents/document.ts'
import { parseStrictJson } from '../../../shared/documents/strict-json.ts'
import { checkManifestPaths } from '../../../shared/documents/path-rules.ts'
import { RunSpec } from '../../../shared/formats/service-spec.ts'
import { parserOf } from '../../../shared/schema.ts'

const limits = { bytes: 10_000, depth: 8 }
const parse = (text: string | Buffer) => parseStrictJson(Buffer.from(text as string), 'order', limits)

t.test('what we encode we read back, and the order of keys does not matter', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (value) => {
      const text = JSON.stringify(value)
      fc.pre(!text.includes('__proto__') && !/\d{16}|e\+/.test(text))
      const bytes = encodeDocument(value)
      const reversed = Object.fromEntries(Object.entries(value).toReversed())
      t.strictSame(encodeDocument(reversed), bytes)
      t.strictSame(parseStrictJson(bytes, 'x', { bytes: 1e6, depth: 20 }), JSON.parse(bytes.toString()))
    }),
    { examples: [[{ 'a"b\\': ['}', ':', '{'] }]], numRuns: 200 },
  )
  t.end()
})

t.test('what two readers could read differently is refused', (t) => {
  const cases: [string | Buffer, RegExp][] = [
    ['{"a":1,"a":2}', /twice/],
    ['{"a":{"b":1,"\\u0062":2}}', /twice/],
    ['{"__proto__":1}', /__proto__/],
    ['{"a":9007199254740993}', /too large/],
    ['{"a":1e999}', /too large/],
    ['[[[[[[[[[1]]]]]]]]]', /nested/],
    [`"${'x'.repeat(10_000)}"`, /longer/],
    [Buffer.from([0x22, 0xff, 0x22]), /not JSON/],
    ['\ufeff{}', /not JSON/],
    ['{} x', /not JSON/],
  ]
  for (const [text, why] of cases)
    t.throws(() => parse(text), { code: 'E_DOCUMENT_INVALID', message: why }, String(text).slice(0, 40))
  t.same(parse('{"a":[{"b":1},{"b":2}],"c":{"b":3}}'), { a: [{ b: 1 }, { b: 2 }], c: { b: 3 } })
  t.end()
})

t.test('a document of the wrong shape names the place', (t) => {
  const bytes = Buffer.from('{"argv":["node",7]}')
  t.throws(() => parseDocument(parserOf(RunSpec), bytes, 'release'), { message: /\/argv\/1 must be string/ })
  t.end()
})

const file = (path: string) => ({ path, mode: '0644' as const, size: 1, sha256: 'a'.repeat(64) })
const check = (paths: string[], links: Record<string, string> = {}, emptyDirs: string[] = []) =>
  checkManifestPaths({
    files: paths.map(file),
    links: Object.entries(links).map(([path, target]) => ({ path, target })),
    emptyDirs,
  })

t.test('ordinary releases pass, with links that stay inside', (t) => {
  t.doesNotThrow(() => check(['a', 'a.b', 'a.b.c', 'd/a']))
  t.doesNotThrow(() => check(['lib/a.js', 'lib/ü.js'], { current: 'lib', 'x/up': '../lib/a.js' }, ['tmp']))
  t.doesNotThrow(() => check(['node_modules/p/x'], { 'node_modules/.bin/p': '../p/x' }))
  t.end()
})

t.test('a path that could be somewhere or something else is refused', (t) => {
  const bad = [
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a//b',
    './a',
    'a/',
    'a\0b',
    'a\nb',
    'a\\b',
    '.deployctl/x',
    `${'d/'.repeat(70)}x`,
    'x'.repeat(256),
    '\ud800',
  ]
  for (const path of bad)
    t.throws(() => check([path]), { code: 'E_PATH_UNSAFE' }, JSON.stringify(path.slice(0, 20)))
  t.end()
})

t.test('two entries that could become one file are refused', (t) => {
  t.throws(() => check(['a', 'a']), { message: /twice/ })
  t.throws(() => check(['b', 'a']), { message: /not sorted/ })
  t.throws(() => check(['README', 'readme']), { message: /only in case/ })
  t.throws(() => check(['Lib/a', 'lib/b']), { message: /only in case/ })
  t.throws(() => check(['u\u0308', '\u00fc']), { message: /only in case or form/ })
  t.throws(() => check(['a', 'a/b']), { message: /not a directory/ })
  t.throws(() => check(['a'], { a: 'b' }), { message: /twice/ })
  t.throws(() => check(['l/x'], { l: 'm' }), { message: /not a directory/ })
  t.end()
})

t.test('a link that leaves the release, by itself or through another, is refused', (t) => {
  const bad: Record<string, string>[] = [
    { l: '/etc' },
    { l: '..' },
    { 'a/l': '../../x' },
    { 'a/b': 'c', 'a/c': '../..' },
    { 'd/up': '..', l: 'd/up/..' },
    { a: 'b', b: 'a' },
  ]
  for (const links of bad) t.throws(() => check([], links), { code: 'E_PATH_UNSAFE' }, JSON.stringify(links))
  t.end()
})
