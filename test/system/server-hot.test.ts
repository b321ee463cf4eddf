import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeLibraryPackage } from '../rig/handing-over.ts'
import { addWeb1, bare, eventually } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { startLoad } from '../rig/load.ts'

const root = join(import.meta.dirname, '../..')
const noHosts = cannotBoot()
if (noHosts) t.comment(`skipped: ${noHosts}`)

t.test(
  'a program under systemd is swapped hot, and what was swapped in is what comes up',
  { skip: noHosts },
  async (t) => {
    await using rig = await bare()
    const { laptop, web1 } = rig
    rmSync(laptop.project, { recursive: true })
    mkdirSync(laptop.project)
    cpSync(join(root, 'examples/hot-counter'), laptop.project, { recursive: true })
    // As npm would have installed them.
    const modules = join(laptop.project, 'node_modules')
    for (const name of ['ws', 'pretty-ms'])
      cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true })
    await makeLibraryPackage(join(modules, 'deployctl-service'))
    const edit = (file: string, change: (text: string) => string) => {
      const path = join(laptop.project, file)
      writeFileSync(path, change(readFileSync(path, 'utf8')))
    }
    edit('deploy.yaml', (text) =>
      text.replace(/ {2}# Copies.*\n.*\n/, '').replace('hosts: {}', 'hosts: { web1: 10.77.0.11 }'),
    )
    const added = await laptop.cli(...addWeb1)
    t.equal(added.code, 0, added.stderr + added.stdout)
    const first = await laptop.cli('push')
    t.equal(first.code, 0, first.stderr + first.stdout)
    const url = 'http://10.77.0.11:8080'
    const page = async () =>
      (await rig.run([process.execPath, '-e', `fetch('${url}/').then((a) => a.text()).then(console.log)`]))
        .stdout
    const count = async () => Number(/id="count">(\d+)/.exec(await page())?.[1])
    const pid = async () =>
      (
        await web1.run(
          'sh',
          '-c',
          'systemctl show -p MainPID --value deploy-counter@a.service deploy-counter@b.service | grep -v ^0',
        )
      ).stdout.trim()
    const own = await pid()
    await eventually(async () => (await count()) >= 2)
    await using load = startLoad({ url, path: '/healthz', kept: 8, fresh: 4, pauseMs: 5 }, (argv) =>
      rig.spawn(argv),
    )
    edit('lib/step.js', (text) => text.replace('step = 1', 'step = 10'))
    const before = await count()
    const hot = await laptop.cli('push')
    t.match(hot.stdout, /committed by hot/, hot.stderr)
    await eventually(async () => (await count()) >= before + 20)
    t.equal(await pid(), own, 'the same process')
    t.same((await load.stop()).bad, [])
    t.match((await laptop.cli('status')).stdout, /1 swap, 3 modules as released/)
    edit('app.js', (text) =>
      text.replace("response.end('well\\n')", "response.writeHead(500).end('sick\\n')"),
    )
    const sick = await laptop.cli('push')
    t.equal(sick.code, 8, sick.stderr)
    t.equal(await pid(), own, 'back in the same process')
    t.ok((await count()) > before)

    await web1.run('kill', '-9', own)
    await eventually(async () => /plus 10 every second/.test(await page()))
    t.not(await pid(), own)
    await web1.reboot()
    await eventually(async () => /plus 10 every second/.test(await page()), 60)
    edit('app.js', (text) =>
      text.replace("response.writeHead(500).end('sick\\n')", "response.end('well\\n')"),
    )
    edit('lib/step.js', (text) => text.replace('step = 10', 'step = 3'))
    await eventually(async () => (await laptop.cli('status')).code === 0)
    const last = await laptop.cli('push')
    t.match(last.stdout, /committed by hot/, last.stderr)
    await eventually(async () => /plus 3 every second/.test(await page()))
  },
)
