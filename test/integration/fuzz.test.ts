import t from 'tap'
import { fuzz } from '../fuzz/fuzz.ts'
import { targets } from '../fuzz/targets.ts'

/** A short run of each, always the same one; `npm run fuzz` goes on for as long as it is told. */
const executions = 5_000

for (const [name, target] of Object.entries(targets))
  t.test(`${name}: nothing but refusals of ours for ${executions} inputs`, async (t) => {
    const result = await fuzz(target, { seed: 7, executions, seconds: 60 })
    t.comment(`${result.executions} executions, corpus ${result.corpus}, ${result.blocks} blocks`)
    t.same(
      result.findings.map(({ input, why }) => `${input.toString('latin1')}: ${why}`),
      [],
    )
    t.ok(result.corpus > target.seeds.length, 'it found new ways')
  })
