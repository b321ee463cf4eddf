import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bare, url } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { missingPackage } from '../rig/packages.ts'

const skip = cannotBoot() || missingPackage('/usr/bin/dpkg-deb', 'dpkg')
if (skip) t.comment(`skipped: ${skip}`)

t.test('the Debian package makes the same host', { skip }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'deb-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const script = new URL('../../scripts/build-deb.ts', import.meta.url).pathname
  execFileSync(process.execPath, [script, 'x64', dir], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [file = ''] = readdirSync(dir)
  t.match(file, /^deploy-agent_.*_amd64\.deb$/)

  await using rig = await bare()
  const { web1, laptop } = rig
  await web1.copy(join(dir, file), '/root/agent.deb')
  const installed = await web1.run('dpkg', '-i', '/root/agent.deb')
  t.equal(installed.status, 0, installed.stdout + installed.stderr)
  t.equal((await web1.run('systemctl', 'is-enabled', 'deploy-agent')).stdout, 'enabled\n')

  for (const name of ['root.1.json', 'root.1.json.sig'])
    await web1.copy(join(laptop.home.configDir, name), `/root/${name}`)
  await web1.copy(`${rig.loginKey}.pub`, '/root/keys')
  const base = '/usr/lib/deployctl/current'
  const host = [`${base}/bin/node`, `${base}/dist/deploy-host.js`]
  const joined = await web1.run(
    ...host,
    'join',
    '--host',
    'web1',
    '--root',
    '/root/root.1.json',
    '--keys',
    '/root/keys',
  )
  t.equal(joined.status, 0, joined.stdout + joined.stderr)

  t.equal((await laptop.cli('host', 'add', '10.77.0.11', '--name', 'web1', '--installed')).code, 0)
  const service = await laptop.cli('service', 'add', '--as', 'root', '--yes')
  t.equal(service.code, 0, service.stderr)
  const pushed = await laptop.cli('push')
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(await laptop.get(url), /^v1 /)
  const doctor = await laptop.cli('doctor')
  t.equal(doctor.code, 0, doctor.stdout)

  await t.test('and host add finds nothing left to do but its own agent', async (t) => {
    const planned = await laptop.cli('host', 'add', 'root@10.77.0.11', '--name', 'web1', '--dry-run')
    t.equal(planned.code, 0, planned.stderr)
    t.notMatch(planned.stdout, /write|make|run `/)
  })

  const removed = await web1.run('dpkg', '-r', 'deploy-agent')
  t.equal(removed.status, 0, removed.stdout + removed.stderr)
  t.notMatch(await web1.must('systemctl', 'list-unit-files', '--no-legend'), 'deploy-')
  t.equal((await web1.run('getent', 'passwd', 'deployctl')).status, 2)
})
