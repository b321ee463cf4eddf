import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeLibraryPackage } from '../rig/handing-over.ts'
import { addWeb1, bare } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { startLoad } from '../rig/load.ts'
import { missingPackage } from '../rig/packages.ts'

const root = join(import.meta.dirname, '../..')
/** What each needs on this machine, which the hosts see as theirs. */
const examples: [name: string, program: string, debianPackage: string][] = [
  ['node', process.execPath, 'nodejs'],
  ['python', '/usr/bin/python3', 'python3-minimal'],
  ['go', '/usr/bin/go', 'golang-go'],
  ['nginx', '/usr/sbin/nginx', 'nginx-light'],
]
const handovers = 4
const noHosts = cannotBoot()
const missing = new Map(
  noHosts
    ? []
    : examples.map(([name, program, debianPackage]) => [name, missingPackage(program, debianPackage)]),
)
if (noHosts) t.comment(`skipped: ${noHosts}`)

t.test('the examples are handed over under load', { skip: noHosts }, async (t) => {
  await using rig = await bare()
  const { laptop } = rig
  const library = join(laptop.home.dir, 'library')
  await makeLibraryPackage(library)
  t.equal((await laptop.cli(...addWeb1, '--no-service')).code, 0)
  for (const [index, [name]] of examples.entries())
    await t.test(name, { skip: missing.get(name) ?? false }, async (t) => {
      const port = 8081 + index
      rmSync(laptop.project, { recursive: true })
      mkdirSync(laptop.project)
      cpSync(join(root, 'examples', name), laptop.project, { recursive: true })
      const edit = (file: string, change: (text: string) => string) => {
        const path = join(laptop.project, file)
        writeFileSync(path, change(readFileSync(path, 'utf8')))
      }
      edit('deploy.yaml', (text) =>
        text
          .replace('8080', String(port))
          .replace('hosts: {}', 'hosts: { web1: 10.77.0.11 }')
          .replace(/^service: .*/, `service: ${name}`),
      )
      if (name === 'nginx') edit('nginx.conf', (text) => text.replace('8080', String(port)))
      if (name === 'node') edit('package.json', (text) => text.replace('../../service', library))
      const added = await laptop.cli('service', 'add', '--as', 'root', '--yes')
      t.equal(added.code, 0, added.stderr + added.stdout)
      const first = await laptop.cli('push')
      t.equal(first.code, 0, first.stderr + first.stdout)
      const url = `http://10.77.0.11:${port}/`
      // This nginx cuts kept connections when it ends, as its own upgrade does: examples/nginx/nginx.conf.
      const mix = name === 'nginx' ? { kept: 0, fresh: 8 } : { kept: 8, fresh: 4 }
      await using load = startLoad({ url, pauseMs: 5, ...mix }, (argv) => rig.spawn(argv))
      for (let n = 0; n < handovers; n++) {
        writeFileSync(join(laptop.project, 'new.txt'), String(n))
        const { code, stdout, stderr } = await laptop.cli('push')
        t.equal(code, 0, stderr)
        t.match(stdout, /committed by handover/)
        t.notMatch(stdout, 'cut off')
      }
      const { good, bad, releases } = await load.stop()
      t.same(bad, [])
      t.ok(good > 100, `${good} answers`)
      t.equal(Object.keys(releases).length, handovers + 1, 'each release had its share')
    })
})
