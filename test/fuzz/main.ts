import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sha256Hex } from '../../shared/documents/document.ts'
import { fuzz, type Fuzzed } from './fuzz.ts'
import { targets } from './targets.ts'

/** `npm run fuzz -- NAME… [--seconds N] [--executions N] [--seed N] [--stacks]`: all parsers when none is named. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    executions: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    stacks: { type: 'boolean', default: false },
    crashes: { type: 'string', default: '.fuzz' },
  },
})
const bound = (value: string | undefined, otherwise: number) =>
  value === undefined ? otherwise : Number(value)
const seconds = bound(values.seconds, values.executions === undefined ? 60 : Number.POSITIVE_INFINITY)
const executions = bound(values.executions, Number.POSITIVE_INFINITY)

const line = (
  name: string,
  { executions: done, accepted, corpus, blocks, seconds: took, findings }: Fuzzed,
) =>
  `${name.padEnd(12)} ${done.toLocaleString('en').padStart(12)} executions  ${Math.round(done / took)
    .toLocaleString('en')
    .padStart(
      8,
    )}/s  corpus ${corpus}  blocks ${blocks}  accepted ${accepted.toLocaleString('en')}  findings ${findings.length}`

// Refusals are many, and nobody reads where they were thrown.
Error.stackTraceLimit = values.stacks ? 10 : 0

let found = 0
for (const name of positionals.length > 0 ? positionals : Object.keys(targets)) {
  const target = targets[name]
  if (!target) throw new Error(`there is no parser "${name}"; there are ${Object.keys(targets).join(', ')}`)
  const seed = Number(values.seed)
  const onProgress = (result: Fuzzed) => console.error(line(name, result))
  const result = await fuzz(target, { seed, executions, seconds, onProgress })
  console.log(`${line(name, result)}  seed ${seed}`)
  for (const { input, why } of result.findings) {
    mkdirSync(values.crashes, { recursive: true })
    const file = join(values.crashes, `${name}-${sha256Hex(input).slice(0, 12)}`)
    writeFileSync(file, input)
    console.log(`  ${file}\n    ${why.split('\n').slice(0, 4).join('\n    ')}`)
  }
  found += result.findings.length
}
process.exitCode = found > 0 ? 1 : 0
