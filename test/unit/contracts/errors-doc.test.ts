import { readFileSync } from 'node:fs'
import t from 'tap'
import { errorsPage } from '../../../scripts/write-errors.ts'

t.test('docs/errors.md has every code of the catalogue, as it is now', (t) => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  t.equal(page, errorsPage(), 'run `npm run docs`')
  t.end()
})
