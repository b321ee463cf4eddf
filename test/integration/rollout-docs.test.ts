import { readFileSync } from 'node:fs'
import t from 'tap'
import { makeRig } from '../rig/rig.ts'

const page = readFileSync(new URL('../../docs/rollouts.md', import.meta.url), 'utf8')

t.test('the chapter "Rolling out", typed as it stands', async (t) => {
  const block = /## In ten minutes\n[^]*?```sh\n([^]*?)```/.exec(page)?.[1] ?? ''
  const lines = block.split('\n').filter((line) => line.startsWith('deployctl '))
  t.ok(lines.length > 10)
  const rig = await makeRig(t, ['web1', 'web2', 'web3', 'web4', 'web5'])
  for (const [index, line] of lines.entries()) {
    const [command = '', comment = ''] = line.split('#')
    const expected = Number(/ends with (\d+)/.exec(comment)?.[1] ?? 0)
    const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
    if (words[1] === 'push') rig.version(`v${index + 2}`)
    const ran = await rig.cli(...words.slice(1))
    t.equal(ran.code, expected, `${line}\n${ran.stdout}${ran.stderr}`)
  }
})
