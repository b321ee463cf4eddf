import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import t from 'tap'
import { sha256Hex } from '../../../../shared/documents/document.ts'
import { parseFacts, type HostFacts } from '../../../../shared/install/facts.ts'
import { hostFiles, planHost, unfitness } from '../../../../shared/install/plan-host.ts'
import { planRemoval } from '../../../../shared/install/plan-removal.ts'
import { planService, registrationOf, serviceFiles } from '../../../../shared/install/plan-service.ts'
import { describeStep, stepsParser } from '../../../../shared/install/steps.ts'
import { lookScript, readTemplates } from '../../../../shared/install/templates.ts'

const templates = readTemplates()
const fit = `host=web1
kernel=Linux
arch=x86_64
os=Debian GNU/Linux 12 (bookworm)
libc=glibc 2.36
systemd=252
polkit=122
has=sshd
has=tar
has=gzip
has=useradd
has=libstdc++.so.6
has=sshd-include
sshunit=ssh.service
free=9000000
account=root
`
const facts = (text = '') => parseFacts(fit + text)
const trust = {
  name: 'web1',
  fleet: 'f'.repeat(32),
  roots: [{ root: '{"root":1}', signatures: ['s'.repeat(64)] }],
}
const wanted = { version: '0.1.0-abc', templates, trust, loginKeys: ['ssh-ed25519 AAAA me@laptop'] }
const socket = { name: 'http', port: 8080 }
const registration = registrationOf('shop', { argv: ['x'], sockets: [socket] }, {}, null)

/** The facts of a host on which these steps were done. */
function after(before: HostFacts, steps: ReturnType<typeof planHost>['steps']): HostFacts {
  const files = new Map(before.files)
  const keys = [...before.keys]
  const installed = { spec: 'deployctl/installed/v1' as const, files: { ...before.installed?.files } }
  for (const step of steps) {
    if (step.do === 'file') {
      files.set(step.path, sha256Hex(step.content))
      installed.files[step.path] = { sha256: sha256Hex(step.content), was: null }
    } else if (step.do === 'seed' || step.do === 'directory') files.set(step.path, 'other')
    else if (step.do === 'lines') keys.push(...step.lines)
  }
  return {
    ...before,
    files,
    keys,
    installed,
    accounts: ['root', 'deployctl', 'deploy-agent'],
    current: 'versions/0.1.0-abc',
    active: new Set(['deploy-agent.service', 'deploy-shop.socket', 'deploy-shop-holder.service']),
    enabled: new Set(['deploy-agent.service', 'deploy-boot.service', 'deploy-shop.socket']),
    name: 'web1',
    fleet: trust.fleet,
    services: [registration],
  }
}

t.test('this machine is looked at by the same script, and nothing is changed', (t) => {
  const found = parseFacts(
    execFileSync('sh', ['-s', '--', '/etc/passwd', '/etc', '/not/there'], { input: lookScript() }).toString(),
  )
  t.equal(found.kernel, 'Linux')
  t.ok(found.accounts.includes('root'))
  t.match(found.files.get('/etc/passwd'), /^[0-9a-f]{64}$/)
  t.equal(found.files.get('/etc'), 'other')
  t.notOk(found.files.has('/not/there'))
  const isWithout = !existsSync('/run/systemd/system')
  t.equal(
    unfitness(found).some(({ what }) => what === 'it has no systemd'),
    isWithout,
  )
  t.end()
})

t.test('each thing that a host lacks is named with what to do', (t) => {
  t.same(unfitness(facts()), [])
  const lacks: [string, string, RegExp][] = [
    ['systemd=252', '', /no systemd/],
    ['systemd=252', 'systemd=245', /systemd 245 is too old: 252 is needed \(Debian/],
    ['glibc 2.36', 'glibc 2.27', /C library 2.27 is older/],
    ['glibc 2.36', 'other', /no GNU C library/],
    ['polkit=122', 'polkit=', /polkit is missing/],
    ['polkit=122', 'polkit=0.105', /polkit 0.105 cannot tell/],
    ['has=sshd\n', '\n', /there is no sshd/],
    ['has=sshd-include', '', /does not include/],
    ['has=tar', '', /tar is missing/],
    ['free=9000000', 'free=1000', /only 1 MB are free/],
    ['x86_64', 'riscv64', /processor is riscv64/],
    ['kernel=Linux', 'kernel=FreeBSD', /runs FreeBSD/],
  ]
  for (const [has, instead, what] of lacks) {
    const problems = unfitness(parseFacts(fit.replace(has, instead)))
    t.match(problems, [{ what, remedy: /./ }], instead || `without ${has}`)
  }
  for (const version of ['0.119', '121', '0.120'])
    t.same(unfitness(parseFacts(fit.replace('122', version))), [])
  t.end()
})

t.test('a plan done leaves nothing to do, and each of its steps has a line for people', (t) => {
  const { steps, problems } = planHost(facts(), wanted)
  t.same(problems, [])
  t.ok(stepsParser.check({ steps }))
  for (const step of steps) t.match(describeStep(step), /^[a-z]/)
  const service = planService(facts(), registration, templates)
  t.ok(stepsParser.check({ steps: service.steps }))
  const done = after(facts(), [...steps, ...service.steps])
  t.same(planHost(done, wanted), { steps: [], problems: [] })
  t.same(planService(done, registration, templates), { steps: [], problems: [] })

  t.test('another version only starts the agent anew', (t) => {
    const { steps } = planHost(done, { ...wanted, version: '0.2.0-def' })
    t.same(steps.at(-1), { do: 'agent', version: '0.2.0-def' })
    t.same(steps.filter((step) => step.do !== 'run').length, 1)
    t.end()
  })
  t.test('who was cut off before systemd and sshd were told is taken up there', (t) => {
    const asleep = { ...done, active: new Set<string>(), enabled: new Set<string>() }
    const told = (steps: ReturnType<typeof planHost>['steps']) => steps.map(describeStep).join('\n')
    t.match(
      told(planHost(asleep, wanted).steps),
      /daemon-reload[^]*try-reload-or-restart ssh[^]*enable deploy-boot[^]*start agent/,
    )
    t.match(told(planService(asleep, registration, templates).steps), /enable --now deploy-shop\.socket/)
    t.end()
  })
  t.test('what was changed by hand is written again and kept beside', (t) => {
    const [path = ''] = hostFiles(templates).map((file) => file.path)
    const changed = { ...done, files: new Map(done.files).set(path, 'f'.repeat(64)) }
    t.match(planHost(changed, wanted).steps[0], { do: 'file', path, keep: true })
    t.end()
  })
  t.test('one that was interrupted after the note and before the file is ours', (t) => {
    const [file] = hostFiles(templates)
    const old = 'e'.repeat(64)
    const noted = { ...done.installed?.files[file?.path ?? ''], sha256: 'd'.repeat(64), was: old }
    const halfway = {
      ...done,
      files: new Map(done.files).set(file?.path ?? '', old),
      installed: { spec: 'deployctl/installed/v1' as const, files: { [file?.path ?? '']: noted } },
    }
    t.notOk(planHost(halfway, wanted).problems.some(({ what }) => what.includes(file?.path ?? '?')))
    t.end()
  })
  t.test('another fleet and another name are not taken over', (t) => {
    t.match(planHost({ ...done, fleet: 'e'.repeat(32) }, wanted).problems, [{ what: /another fleet/ }])
    t.match(planHost({ ...done, name: 'db1' }, wanted).problems, [
      { what: /called "db1"/, remedy: /--name db1/ },
    ])
    t.end()
  })
  t.test('removing names every file that was written', (t) => {
    const removed = planRemoval(done).steps.flatMap((step) => (step.do === 'remove' ? [step.path] : []))
    for (const path of Object.keys(done.installed?.files ?? {}))
      t.ok(
        removed.some((one) => path === one || path.startsWith(`${one}/`)),
        path,
      )
    t.ok(stepsParser.check({ steps: planRemoval(done).steps }))
    t.end()
  })
  t.end()
})

t.test('a link or a file of somebody else stops everything', (t) => {
  for (const there of ['link', 'other', 'a'.repeat(64)]) {
    const { problems } = planHost(
      { ...facts(), files: new Map([['/etc/systemd/system/deploy-agent.service', there]]) },
      wanted,
    )
    t.match(problems, [{ what: /is there and is not deployctl's/ }])
  }
  t.end()
})

t.test('a unit can only say what cannot be more than it seems', (t) => {
  const refused: [Parameters<typeof registrationOf>[1]['sockets'], RegExp][] = [
    [[{ name: 'http', port: 0 }], /needs a port of its own/],
    [[{ name: 'http', port: 80, host: 'example.com' }], /needs an IP address/],
    [[{ name: 'http', path: '/run/x\nExecStart=/bin/evil' }], /unusual characters/],
    [[{ name: 'http', path: '/run/%H' }], /unusual characters/],
  ]
  for (const [sockets, why] of refused)
    t.throws(() => registrationOf('shop', { argv: ['x'], ...(sockets && { sockets }) }, {}, null), {
      message: why,
    })
  t.throws(() => registrationOf('shop', { argv: ['x'] }, {}, 'root'), { message: /never runs as root/ })
  const long = registrationOf(`${'a'.repeat(40)}.b`, { argv: ['x'] }, {}, null)
  t.match(long.user.name, /^[a-z_][a-z0-9_-]{0,30}$/)
  t.not(long.user.name, registrationOf(`${'a'.repeat(40)}.c`, { argv: ['x'] }, {}, null).user.name)
  t.end()
})

t.test('the units of a service say what was agreed to', (t) => {
  const run = {
    argv: ['x'],
    sockets: [socket, { name: 'admin', host: '::1', port: 9000 }, { name: 'local', path: '/run/shop.sock' }],
    limits: { memoryMegabytes: 256, cpuPercent: 50, tasks: 10 },
    stop: { signal: 'SIGINT' as const, seconds: 5 },
  }
  const files = serviceFiles(registrationOf('shop.eu', run, {}, null), templates, 252)
  const content = (end: string) => files.find(({ path }) => path.endsWith(end))?.content ?? ''
  t.match(content('shop.eu@.service'), /MemoryMax=256M\nCPUQuota=50%\nTasksMax=10\n/)
  t.match(content('shop.eu@.service'), /KillSignal=SIGINT\nTimeoutStopSec=5\n/)
  t.match(
    content('.socket'),
    /ListenStream=0\.0\.0\.0:8080\nListenStream=\[::1\]:9000\nListenStream=\/run\/shop\.sock\n/,
  )
  t.match(content('.rules'), String.raw`/^deploy-shop\.eu(@[ab]\.service|`)
  for (const { content, path } of files) t.notMatch(content, /@[A-Z]+@/, path)
  const silent = serviceFiles(registrationOf('worker', { argv: ['x'] }, {}, 'bob'), templates, 256)
  t.equal(silent.length, 4, 'no socket, no holder')
  t.match(silent[0]?.content, /User=bob\nStateDirectory/)
  t.match(silent[0]?.content, 'RestartMaxDelaySec=30s')
  t.notMatch(silent[0]?.content, 'Sockets=')
  t.end()
})

t.test('private sockets and UDP have lines of their own in the one socket unit', (t) => {
  const sockets = [
    { name: 'deployctl', private: true },
    { name: 'http', port: 8080 },
    { name: 'quic', port: 8443, type: 'udp' as const },
  ]
  const made = registrationOf('shop', { argv: ['x'], sockets }, {}, null)
  const unit = serviceFiles(made, templates, 252).find(({ path }) => path.endsWith('.socket'))
  t.match(
    unit?.content,
    'ListenStream=0.0.0.0:8080\nListenDatagram=0.0.0.0:8443\nListenStream=/var/lib/deployctl/private/shop.a\nListenStream=/var/lib/deployctl/private/shop.b\n',
    'the shared ones first',
  )
  const { steps } = planService(facts(), made, templates)
  t.match(
    steps.find((step) => step.do === 'directory' && step.path.endsWith('private')),
    { mode: 0o710, group: 'deployctl' },
    'nobody but the agent gets in',
  )
  t.end()
})

t.test('two services cannot have the same port', (t) => {
  const other = registrationOf('other', { argv: ['x'], sockets: [socket] }, {}, null)
  const { problems } = planService({ ...facts(), services: [registration] }, other, templates)
  t.match(problems, [{ what: /0\.0\.0\.0:8080 belongs to the service shop/ }])
  t.end()
})
