import { globSync, readFileSync } from 'node:fs'
import t from 'tap'
import { targets } from '../../fuzz/targets.ts'

const root = new URL('../../..', import.meta.url).pathname
const page = readFileSync(`${root}/THREATS.md`, 'utf8')

t.test('every row of THREATS.md names a test that there is', (t) => {
  const rows = page.split('\n').filter((line) => /^\|.*\|.*\.test\.ts: .*\|$/.test(line))
  t.ok(rows.length > 30)
  for (const row of rows) {
    const [file = '', name = ''] = (row.split('|').at(-2) ?? '').trim().split(/: (.*)/)
    const [found] = globSync(`test/**/${file}`, { cwd: root })
    t.ok(found, file)
    if (!found) continue
    const source = readFileSync(`${root}/${found}`, 'utf8')
    t.ok(hasTest(source, name), `${file} has "${name}"`)
  }
  t.end()
})

/** As it stands there, or made by a template. */
function hasTest(source: string, name: string): boolean {
  const templates = [...source.matchAll(/t\.test\(\s*`([^`]*)`/g)].map(([, text = '']) => text)
  const made = templates.map((text) =>
    text
      .split(/\$\{[^}]*\}/)
      .map(escaped)
      .join('.*'),
  )
  return source.includes(name) || made.some((pattern) => new RegExp(`^${pattern}`).test(name))
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

t.test('every threat has a protection and a test', (t) => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| threat'))
  const threats = rows.filter((line) => line.split('|')[1]?.trim() !== '' && line.split('|').length === 5)
  t.ok(threats.length > 20)
  for (const row of threats) {
    const [, threat = '', protection = '', test = ''] = row.split('|').map((cell) => cell.trim())
    t.ok(protection.length > 20 && test.length > 10, threat)
  }
  t.end()
})

t.test('every parser that is fuzzed has its row of figures', (t) => {
  for (const name of Object.keys(targets)) t.match(page, new RegExp(`\\| \`${name}\` \\|`))
  t.end()
})
