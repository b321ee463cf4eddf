import t from 'tap'
import { addWeb1, bare, url } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

t.test('a service gets what root has agreed to, and no more', { skip }, async (t) => {
  await using rig = await bare()
  const { web1, laptop } = rig
  t.equal((await laptop.cli(...addWeb1, '--no-service')).code, 0)

  await t.test('one that is not registered is refused with what to type', async (t) => {
    t.match(await laptop.cli('push'), { code: 5, stderr: /E_SERVICE_UNREGISTERED .*deployctl service add/s })
    const added = await laptop.cli('service', 'add', '--as', 'root', '--yes')
    t.equal(added.code, 0, added.stderr)
    t.match(await laptop.cli('service', 'add', '--as', 'root', '--yes'), {
      stdout: /everything is as it should be/,
    })
    t.equal((await laptop.cli('push')).code, 0)
  })

  const unitOfCommitted = async () =>
    `deploy-echo@${await web1.must('cat', '/var/lib/deployctl/slots/echo/committed')}.service`
  const environOf = async (unit: string) => {
    const pid = await web1.must('systemctl', 'show', '-p', 'MainPID', '--value', unit)
    return { pid, environ: (await web1.must('cat', `/proc/${pid}/environ`)).split('\0') }
  }

  await t.test('limits and needed values are checked, secrets stay on the host', async (t) => {
    const run = '  limits: { memoryMegabytes: 200, cpuPercent: 150, tasks: 64 }\n  env: [TOKEN]'
    laptop.configure({ run, hosts: '{ web1: 10.77.0.11 }' })
    const other = await laptop.cli('push')
    t.match(other, { code: 7 })
    t.match(
      other.stdout + other.stderr,
      /registered with limits \{\}; the release asks for limits .*memoryMegabytes/,
    )
    t.equal((await laptop.cli('service', 'add', '--as', 'root', '--yes')).code, 0)

    const without = await laptop.cli('push')
    t.match(without, { code: 8 })
    t.match(
      without.stdout + without.stderr,
      /TOKEN has no value: give it one in deploy\.yaml or in .*echo\.env/,
    )
    t.match(await laptop.get(url), /^v1 /)

    await web1.must('sh', '-c', 'echo TOKEN=secret-of-the-host >>/etc/deployctl/services/echo.env')
    await web1.must('sh', '-c', 'echo pem >/etc/deployctl/secrets/echo/key')
    laptop.version('v3')
    const pushed = await laptop.cli('push')
    t.equal(pushed.code, 0, pushed.stdout + pushed.stderr)
    const unit = await unitOfCommitted()
    const limits = await web1.must('systemctl', 'show', unit, '-p', 'MemoryMax,CPUQuotaPerSecUSec,TasksMax')
    t.same(limits.split('\n').sort(), ['CPUQuotaPerSecUSec=1.500000s', 'MemoryMax=209715200', 'TasksMax=64'])
    const { pid, environ } = await environOf(unit)
    t.ok(environ.includes('TOKEN=secret-of-the-host'))
    const dir = environ.find((line) => line.startsWith('CREDENTIALS_DIRECTORY='))?.split('=')[1]
    t.equal(await web1.must('nsenter', '-t', pid, '-m', 'cat', `${dir}/secrets_key`), 'pem')
    t.equal((await web1.run('grep', '-rl', 'secret-of-the-host', '/var/lib/deployctl')).stdout, '')
  })

  await t.test('a command probe runs in the sandbox of the service', async (t) => {
    const run = '  limits: { memoryMegabytes: 200, cpuPercent: 150, tasks: 64 }\n  env: [TOKEN]'
    const health = (argv: string) => `  probes:\n    - { type: command, argv: ${argv} }`
    const configure = (argv: string) => {
      laptop.configure({ run, health: '', hosts: '{ web1: 10.77.0.11 }' })
      return laptop.edit((text) => text.replace(/  probes: .*/, health(argv)))
    }
    configure(
      '[sh, -c, "test $TOKEN = secret-of-the-host && test $(id -un) = svc-echo && test -f server.mjs"]',
    )
    const good = await laptop.cli('push')
    t.equal(good.code, 0, good.stdout + good.stderr)
    configure('[sh, -c, "echo not well; exit 4"]')
    const bad = await laptop.cli('push')
    t.match(bad, { code: 8 })
    t.match(bad.stdout + bad.stderr, /ended with exit 4/)
    t.match(bad.stdout + bad.stderr, /not well/)
  })

  await t.test('a user of the host can run it, root cannot', async (t) => {
    t.match(await laptop.cli('service', 'add', '--as', 'root', '--yes', '--user', 'root'), {
      code: 3,
      stderr: /never runs as root/,
    })
    t.match(await laptop.cli('service', 'add', '--as', 'root', '--yes', '--user', 'nobody-here'), { code: 5 })
    await web1.must('useradd', '--system', 'shop')
    const named = await laptop.cli('service', 'add', '--as', 'root', '--yes', '--user', 'shop')
    t.equal(named.code, 0, named.stdout + named.stderr)
    laptop.configure({
      run: '  limits: { memoryMegabytes: 200, cpuPercent: 150, tasks: 64 }\n  env: [TOKEN]',
      hosts: '{ web1: 10.77.0.11 }',
    })
    laptop.version('v4')
    const pushed = await laptop.cli('push')
    t.equal(pushed.code, 0, pushed.stdout + pushed.stderr)
    const { pid } = await environOf(await unitOfCommitted())
    t.equal(await web1.must('ps', '-o', 'user=', '-p', pid), 'shop')
  })

  await t.test('one that ends with a status of its own when told to leaves no failed slot', async (t) => {
    for (const version of ['java', 'v5']) {
      laptop.version(version)
      t.equal((await laptop.cli('push')).code, 0, version)
    }
    t.equal((await laptop.cli('doctor')).code, 0)
    t.equal((await web1.run('systemctl', '--failed', '--no-legend')).stdout, '')
  })

  await t.test('other sockets leave the committed release running, on the new ones', async (t) => {
    laptop.edit((text) => text.replace('port: 8080', 'port: 8081'))
    const added = await laptop.cli('service', 'add', '--as', 'root', '--yes')
    t.equal(added.code, 0, added.stdout + added.stderr)
    t.match(await laptop.get('http://10.77.0.11:8081/'), /^v5 /)
    t.notMatch(await laptop.get(url), 'v5')
    laptop.version('v6')
    t.equal((await laptop.cli('push')).code, 0)
    t.match(await laptop.get('http://10.77.0.11:8081/'), /^v6 /)
  })

  await t.test('taken off, it is gone', async (t) => {
    t.equal((await laptop.cli('service', 'remove', '--as', 'root', '--yes')).code, 0)
    t.match(await laptop.cli('status'), { code: 5, stderr: /E_SERVICE_UNREGISTERED/ })
    t.notMatch(await web1.must('systemctl', 'list-unit-files', '--no-legend'), 'deploy-echo')
    t.notMatch(await laptop.get('http://10.77.0.11:8081/'), 'v6')
    t.equal((await web1.run('systemctl', 'restart', 'deploy-agent')).status, 0, 'the agent does without it')
    const doctor = await laptop.cli('doctor')
    t.equal(doctor.code, 0, doctor.stdout)
  })
})
