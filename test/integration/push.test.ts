import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { createFleet } from '../../controller/identity/fleet.ts'
import { makeRig, settled } from '../rig/rig.ts'

t.test('a push reaches all hosts, the next upgrades them, a rollback takes them back', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2', 'web3'])
  const first = await rig.cli('push', '-m', 'first')
  t.equal(first.code, 0, first.stderr)
  for (const name of ['web1', 'web2', 'web3']) t.equal(await rig.get(name), 'v1')
  rig.version('v2')
  const second = await rig.cli('push', '--json')
  t.equal(second.code, 0, second.stdout)
  const results = second.events.filter(({ type }) => type === 'result')
  t.same(
    results.map(({ result, strategy }) => `${String(result)} ${String(strategy)}`),
    Array(3).fill('committed handover'),
  )
  for (const name of ['web1', 'web2', 'web3']) t.equal(await rig.get(name), 'v2')
  const again = await rig.cli('push')
  t.equal(again.code, 0)
  t.match(again.stdout, /web1 .*unchanged/)
  t.equal((await rig.cli('rollback')).code, 0)
  for (const name of ['web1', 'web2', 'web3']) t.equal(await rig.get(name), 'v1')
  const history = await rig.cli('history', '--json')
  t.same(
    history.events.map(({ action }) => action),
    ['rollback', 'deploy', 'deploy'],
  )
  t.equal(history.events[2]?.['reason'], 'first')
  const verified = await rig.cli('history', '--verify')
  t.equal(verified.code, 0)
  t.match(verified.stdout, /3 orders and 9 receipts: every signature is good/)
  t.match((await rig.cli('status')).stdout, /web2 .*running/)
  t.match((await rig.cli('logs', '-n', '3')).stdout, /web3 .*v1 listens/)
})

t.test('a release that fails its probe is rolled back, says why, and the old one serves', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('sick')
  const ran = await rig.cli('push')
  t.equal(ran.code, 8)
  t.match(ran.stderr, /E_PROBE_FAILED .*http \/: 500/)
  t.match(ran.stderr, /sick listens/, 'with its last log lines')
  t.match(ran.stderr, /Production is safe: the old release serves again/)
  t.equal(await rig.get('web1'), 'v1')
  rig.version('crash')
  const crashed = await rig.cli('push')
  t.equal(crashed.code, 8)
  t.match(crashed.stderr, /E_SERVICE_START .*exit 3/)
  t.equal(await rig.get('web1'), 'v1')
  t.equal((await rig.cli('history', '--verify')).code, 0)
})

t.test('a first release that fails leaves nothing running', async (t) => {
  const rig = await makeRig(t)
  rig.version('sick')
  t.equal((await rig.cli('push')).code, 8)
  t.match(await rig.state('web1'), { active: null, deploying: null })
  rig.version('v1')
  t.equal((await rig.cli('push')).code, 0)
  t.equal(await rig.get('web1'), 'v1')
})

t.test('a release that cuts the host off is not confirmed and goes away by itself', async (t) => {
  const rig = await makeRig(t)
  rig.configure({ environment: '    confirmSeconds: 3' })
  t.equal((await rig.cli('push')).code, 0)
  const keys = join(rig.host('web1').dir, 'authorized_keys')
  // The new release locks everybody out; the old one lets them in again, as a firewall rule would.
  const argv = (command: string) =>
    `run: { argv: [sh, -c, '${command}; exec node server.mjs'], sockets: [{ name: http, host: 127.0.0.1, port: 0 }] }`
  const configure = (command: string) => {
    rig.configure({ environment: '    confirmSeconds: 3' })
    const file = join(rig.project, 'deploy.yaml')
    const text = readFile(file).replace(/run:\n.*\n.*\n/, `${argv(command)}\n`)
    writeFileSync(file, text)
  }
  configure(`cp ${rig.home.loginKey}.pub ${keys}`)
  t.equal((await rig.cli('push')).code, 0)
  configure(`: > ${keys}`)
  rig.version('v2')
  const ran = await rig.cli('push')
  t.equal(ran.code, 8, ran.stderr)
  t.match(ran.stderr, /E_CONFIRM_TIMEOUT/)
  t.equal(await rig.get('web1'), 'v1')
})

t.test(
  'a host that cannot be reached stops the push before anything is switched, unless it may be skipped',
  async (t) => {
    const rig = await makeRig(t, ['web1'])
    const dead = { name: 'web9', port: 1 }
    rig.configure({ hosts: [...rig.hosts, dead] })
    const failed = await rig.cli('push')
    t.equal(failed.code, 6)
    t.match(failed.stderr, /E_SSH_CONNECT .*ECONNREFUSED/)
    t.match(await rig.state('web1'), { active: null, seq: 0 })
    rig.configure({ hosts: [...rig.hosts, dead], extra: 'rollout: { onUnreachable: skip }' })
    const skipped = await rig.cli('push')
    t.equal(skipped.code, 0, skipped.stderr)
    t.match(skipped.stdout, /web9 .*skipped/)
    t.equal(await rig.get('web1'), 'v1')
  },
)

t.test('a history that somebody changed is found out', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  t.equal((await rig.cli('push')).code, 0)
  const file = join(rig.home.dir, 'home', 'data', 'history.sqlite')
  const kept = readFileSync(file)
  const inBlob = (column: string, from: string, to: string) =>
    `${column} = CAST(replace(CAST(${column} AS TEXT), '${from}', '${to}') AS BLOB)`
  const ofFirst = '(SELECT signature FROM host_results WHERE number = 1)'
  const changes: [what: string, sql: string, expected: RegExp][] = [
    ['an order', `UPDATE pushes SET ${inBlob('order_bytes', 'deploy', 'Deploy')}`, /order .*signature/],
    [
      'a receipt',
      `UPDATE host_results SET ${inBlob('receipt', 'committed', 'aborted')} WHERE number = 2`,
      /receipt 2 of web1/,
    ],
    [
      'who signed',
      `UPDATE host_results SET signature = ${ofFirst} WHERE number = 2`,
      /receipt 2 of web1: .*signature/,
    ],
    ['the chain', "UPDATE host_results SET previous = 'x' WHERE number = 2", /receipt 2 of web1/],
  ]
  for (const [what, sql, expected] of changes) {
    writeFileSync(file, kept)
    const db = new Database(file)
    t.ok(db.prepare(sql).run().changes > 0, what)
    db.close()
    const ran = await rig.cli('history', '--verify')
    t.equal(ran.code, 5, `${what}: ${ran.stdout}${ran.stderr}`)
    t.match(ran.stdout + ran.stderr, expected, what)
  }
})

t.test('of two pushes at once one comes first and the other is told', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const saved = join(rig.home.dir, 'saved')
  t.equal((await rig.cli('build', '-o', saved)).code, 0)
  rig.version('v3')
  const both = await Promise.all([rig.cli('push', '--from', saved), rig.cli('push')])
  const state = await settled(rig, 'web1')
  const codes = both.map(({ code }) => code ?? -1).sort((a, b) => a - b)
  if (codes[1] === 0) t.equal(state.seq, 3, 'they did not overlap')
  else {
    t.same(codes, [0, 7])
    t.match(both.map(({ stderr }) => stderr).join(''), /E_(ORDER_SEQ|ORDER_PREV|BUSY|ORDER_CHALLENGE)/)
    t.equal(state.seq, 2)
  }
  t.match(await rig.get('web1'), /v2|v3/)
})

t.test('who is not trusted changes nothing', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const stranger = join(rig.home.dir, 'stranger')
  await createFleet({ configDir: stranger })
  const foreign = await rig.cli('push', '--key', join(stranger, 'signing_key'))
  t.equal(foreign.code, 5)
  t.match(foreign.stderr, /E_SIGNER_UNKNOWN/)
  t.match(await rig.state('web1'), { seq: 1 })
  t.equal(await rig.get('web1'), 'v1')
})

t.test(
  'values the service needs are checked before it is switched, and secrets stay on the host',
  async (t) => {
    const rig = await makeRig(t)
    rig.configure({ run: '  env: [GREETING, PASSWORD]', environment: '    env: { GREETING: hello }' })
    const refused = await rig.cli('push')
    t.equal(refused.code, 7)
    t.match(refused.stderr, /E_CHECK_FAILED .*PASSWORD/)
    mkdirSync(join(rig.host('web1').dir, 'env'), { recursive: true })
    writeFileSync(join(rig.host('web1').dir, 'env', 'echo.env'), 'PASSWORD="s3cret"\n')
    t.equal((await rig.cli('push')).code, 0)
    t.equal(await rig.get('web1'), 'v1')
    const history = await rig.cli('history', '--json')
    t.notMatch(history.stdout, 's3cret')
  },
)

t.test('a plan says what would happen and changes nothing', async (t) => {
  const rig = await makeRig(t)
  t.match((await rig.cli('plan')).stdout, /nothing runs there yet/)
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const { events } = await rig.cli('plan', '--json')
  t.match(events[0], { type: 'plan', host: 'web1', strategy: 'handover' })
  t.match(events[0]?.['reasons'], ['1 file changed: version.txt'])
  t.match(await rig.state('web1'), { seq: 1 })
})

t.test('a release that was built elsewhere is pushed as it was signed', async (t) => {
  const rig = await makeRig(t)
  const saved = join(rig.home.dir, 'saved')
  const built = await rig.cli('build', '-o', saved, '--as', 'v1.0', '--json')
  t.equal((await rig.cli('verify', saved)).code, 0)
  rmSync(join(rig.project, 'version.txt'))
  t.equal((await rig.cli('push', '--from', saved)).code, 0)
  t.equal((await rig.state('web1')).active, built.events[0]?.['release'])
  t.equal((await rig.state('web1')).version, 'v1.0')
})

t.test('mistakes get their own exit codes and say what to do', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push', '--nonsense')).code, 2)
  t.equal((await rig.cli('push', '-e', 'nowhere')).code, 3)
  t.match((await rig.cli('pusch')).stderr, /push/)
  const file = join(rig.project, 'deploy.yaml')
  writeFileSync(file, readFile(file).replace('service:', 'servise:'))
  const ran = await rig.cli('push')
  t.equal(ran.code, 3)
  t.match(ran.stderr, /deploy\.yaml:1:1: .*servise.*service/)
  t.equal((await rig.cli('--help')).code, 0)
})

const readFile = (file: string) => readFileSync(file, 'utf8')
