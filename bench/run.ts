import { readdirSync } from 'node:fs'

/** `npm run bench -- NAME [options]` runs bench/NAME.bench.ts. */
const [name, ...rest] = process.argv.slice(2)
const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''))

if (name === undefined || !names.includes(name)) {
  console.error(`npm run bench -- NAME, with one of: ${names.join(', ')}`)
  process.exitCode = 2
} else {
  process.argv.splice(2, process.argv.length - 2, ...rest)
  await import(`./${name}.bench.ts`)
}
