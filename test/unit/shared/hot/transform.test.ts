import t from 'tap'
import { sha256Hex } from '../../../../shared/documents/document.ts'
import { transformVersion } from '../../../../shared/formats/modules.ts'
import { derive } from '../../../../shared/hot/derive.ts'

/** Whoever changes what comes out counts `transformVersion` up, and then this. */
const known = { version: 1, digest: '0b3172662f5e2a234a2d2ee0b6b3ad207d9982f45af3c2a784f369d5a2cc394c' }

const source = `#!/usr/bin/env node
import a, { b as c, default as d } from './x.js'
import * as all from "dep"
import './side.js'
export { c, d as renamed }
export { e as f, default } from './y.js'
export * from './z.js'
export * as g from './z.js'
export const { h, i: [j = 1, ...k] } = all
export function l() { return { a, c: c(all.m), tag: c\`x\` } }
export class M { static n = import.meta.url; [c()] = 1 }
c(1)
for await (const o of c()) await import('./lazy.js')
`

t.test('what a module becomes is what hosts compare', (t) => {
  const { code } = derive('app.js', source, 'esm')
  t.same({ version: transformVersion, digest: sha256Hex(code) }, known)
  t.end()
})

t.test('each line stays where it was', (t) => {
  const { code } = derive('app.js', source, 'esm')
  const lines = code.split('\n')
  t.equal(lines.length, source.split('\n').length + 1)
  t.match(lines[9], /export function|function l\(\)/)
  t.match(lines[11], /;\(0,\$hot0\.b\)\(1\)/)
  t.end()
})

t.test('names of ours give way to those that are there', (t) => {
  const { code } = derive('app.js', `import { x } from 'x'\nexport const $hot = x, $hotDefault = 1`, 'esm')
  t.match(code, /\$hot\$/)
  t.notMatch(code, /const \$hot\$ =/)
  t.end()
})
