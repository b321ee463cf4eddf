import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A program of many ES modules: an app, groups, and leaves; one leaf says which release it is. */
const groups = 20
const functionsPerModule = 12

const filler = (name: string) =>
  Array.from(
    { length: functionsPerModule },
    (_, n) => `
/** Computes what ${name} needs in its step ${n}. */
export function step${n}(input, factor = ${n + 1}) {
  const parts = String(input).split('-').map((part) => part.trim()).filter(Boolean)
  const total = parts.reduce((sum, part) => sum + part.length * factor, 0)
  return { name: '${name}', total, parts, even: total % 2 === 0 }
}
`,
  ).join('')

/** Says its release on each request; the file that `setRelease` writes is one of its leaves. */
export type ModuleTree = { modules: number; setRelease(name: string): void }

export function makeModuleTree(dir: string, modules = 500): ModuleTree {
  const leaves = modules - groups - 1
  const perGroup = Math.ceil(leaves / groups)
  const write = (path: string, text: string) => {
    mkdirSync(join(dir, path, '..'), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
  const setRelease = (name: string) =>
    writeFileSync(join(dir, 'lib/g7/m3.js'), `export const release = '${name}'\n${filler('g7/m3')}`)
  let count = 1
  for (let g = 0; g < groups; g++) {
    const own = Array.from({ length: Math.min(perGroup, leaves - g * perGroup) }, (_, n) => n)
    for (const n of own) write(`lib/g${g}/m${n}.js`, filler(`g${g}/m${n}`))
    const imports = own.map((n) => `import { step0 as s${n} } from './m${n}.js'\n`).join('')
    const more = g === 7 ? `export { release } from './m3.js'\n` : ''
    write(
      `lib/g${g}/index.js`,
      `${imports}${more}export const all${g} = [${own.map((n) => `s${n}`).join(', ')}]\n${filler(`g${g}`)}`,
    )
    count += own.length + 1
  }
  const imports = Array.from(
    { length: groups },
    (_, g) => `import { all${g} } from './lib/g${g}/index.js'\n`,
  ).join('')
  write(
    'app.js',
    `${imports}import { release } from './lib/g7/index.js'
const steps = [${Array.from({ length: groups }, (_, g) => `...all${g}`).join(', ')}]
export const init = () => ({ requests: 0 })
export function handle(request, response, state) {
  if (state) state.requests += 1
  const work = steps.reduce((sum, step) => sum + step(request.url).total, 0)
  response.end(\`\${release} \${work} \${state?.requests ?? 0}\\n\`)
}
`,
  )
  write('package.json', '{ "type": "module", "private": true }\n')
  setRelease('v1')
  return { modules: count, setRelease }
}
