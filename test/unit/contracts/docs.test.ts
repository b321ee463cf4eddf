import { readFileSync } from 'node:fs'
import t from 'tap'
import { configPage, schemaFile } from '../../../scripts/write-config-docs.ts'
import { errorsPage } from '../../../scripts/write-errors.ts'

t.test('what is made from the code is as the code is now', (t) => {
  const pages = { 'errors.md': errorsPage, 'deploy.schema.json': schemaFile, 'deploy-yaml.md': configPage }
  for (const [name, make] of Object.entries(pages)) {
    const page = readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')
    t.equal(page, make(), `docs/${name}: run \`npm run docs\``)
  }
  t.end()
})

t.test('every key of deploy.yaml says what it means', (t) => {
  const rows = configPage()
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  t.ok(rows.length > 40)
  t.same(
    rows.filter((row) => / \| {2}\|$/.test(row)),
    [],
  )
  t.end()
})
