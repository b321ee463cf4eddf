import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, openSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { startScript } from '../../../../agent/manager/systemd/start-script.ts'
import { describeEnd, parseUnit } from '../../../../agent/manager/systemd/systemctl.ts'
import { parseEntry } from '../../../../agent/manager/systemd/unit-log.ts'
import type { InstanceSpec } from '../../../../agent/manager/manager.ts'

const spec: InstanceSpec = {
  service: 'shop',
  slot: 'b',
  release: 'a'.repeat(64),
  argv: ['printenv', 'X'],
  cwd: '/',
  env: {},
  needs: [],
  sockets: [],
  stop: { signal: 'SIGTERM', seconds: 1 },
  limits: {},
}
const run = (one: InstanceSpec, env: Record<string, string> = {}) =>
  execFileSync(
    'env',
    ['-i', 'PATH=/usr/bin:/bin', ...Object.entries(env).map((pair) => pair.join('=')), 'sh', '-s'],
    {
      input: startScript(one),
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  ).toString()

t.test('whatever is in an argument or a value reaches the program as it is', (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((value) => value.replaceAll('\0', ''))
  fc.assert(
    fc.property(text, text, (argument, value) => {
      const argv = ['sh', '-c', 'printf "%s|%s" "$1" "$X"', 'sh', argument]
      t.equal(run({ ...spec, argv, env: { X: value } }), `${argument}|${value}`)
    }),
    { numRuns: 100 },
  )
  t.end()
})

t.test('the host’s own value wins, but not what systemd sets by itself', (t) => {
  t.equal(run({ ...spec, env: { X: 'release' } }, { X: 'host' }), 'host\n')
  t.equal(run({ ...spec, env: { X: 'release' } }), 'release\n')
  t.equal(run({ ...spec, argv: ['printenv', 'LANG'], env: { LANG: 'de_DE' } }, { LANG: 'C' }), 'de_DE\n')
  t.equal(run({ ...spec, argv: ['printenv', 'DEPLOYCTL_SLOT'] }), 'b\n')
  t.end()
})

t.test('each slot gets its own private socket, right after the shared ones, and not the other’s', (t) => {
  const sockets = [
    { name: 'http', port: 80 },
    { name: 'admin', port: 81 },
    { name: 'probe', private: true },
  ]
  const dir = mkdtempSync(join(tmpdir(), 'script-'))
  const files = ['http', 'admin', 'private-a', 'private-b'].map((name) => join(dir, name))
  for (const file of files) writeFileSync(file, '')
  const argv = [
    'sh',
    '-c',
    'echo $LISTEN_FDS $LISTEN_FDNAMES; for n in 3 4 5 6; do readlink /proc/$$/fd/$n || echo none; done',
  ]
  for (const slot of ['a', 'b'] as const) {
    const script = join(dir, `start-${slot}`)
    writeFileSync(script, startScript({ ...spec, slot, sockets, argv }))
    const opened = files.map((file) => openSync(file, 'r'))
    const { stdout } = spawnSync('sh', [script], {
      env: { PATH: '/usr/bin:/bin', LISTEN_FDS: '4' },
      stdio: ['ignore', 'pipe', 'inherit', ...opened],
    })
    t.same(String(stdout).trim().split('\n'), [
      '3 http:admin:probe',
      files[0],
      files[1],
      join(dir, `private-${slot}`),
      'none',
    ])
  }
  t.end()
})

t.test('it is held while the file beside its script is there', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'script-'))
  const script = join(dir, 'start')
  writeFileSync(script, startScript({ ...spec, argv: ['sh', '-c', 'echo "held: $DEPLOYCTL_HOLD"'] }))
  const said = () => execFileSync('sh', [script]).toString()
  t.equal(said(), 'held: \n')
  writeFileSync(join(dir, 'hold'), '')
  t.equal(said(), 'held: 1\n')
  t.end()
})

t.test('a value that is missing ends it with the reason', (t) => {
  t.throws(() => run({ ...spec, needs: ['TOKEN'] }), { message: /TOKEN has no value/ })
  t.equal(
    run({ ...spec, needs: ['TOKEN'], argv: ['printenv', 'TOKEN'] }, { TOKEN: '' }),
    '\n',
    'an empty one is one',
  )
  t.throws(() => run({ ...spec, cwd: '/not/there' }), { message: /not\/there/ })
  t.end()
})

t.test('sockets are named in their order', (t) => {
  const sockets = [
    { name: 'http', port: 1 },
    { name: 'admin', port: 2 },
  ]
  const names = { ...spec, sockets, argv: ['printenv', 'LISTEN_FDNAMES'] }
  t.equal(run(names, { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a.socket:a.socket' }), 'http:admin\n')
  t.end()
})

t.test('a unit’s state tells how it ended', (t) => {
  const unit = parseUnit(
    'Id=x.service\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nMainPID=0\nNRestarts=3\nExecMainCode=1\nExecMainStatus=7\nActiveEnterTimestampMonotonic=12\nInvocationID=abc',
  )
  t.match(unit, { active: 'activating', sub: 'auto-restart', restarts: 3, activeSinceUs: 12 })
  t.equal(describeEnd(unit), 'exit 7')
  t.equal(describeEnd({ ...unit, exitCode: 'killed', exitStatus: 9 }), 'signal 9')
  t.equal(describeEnd({ ...unit, result: 'oom-kill' }), 'out of memory')
  t.equal(describeEnd({ ...unit, result: 'timeout' }), 'it took too long')
  t.end()
})

t.test('lines of the journal, of the service and of systemd about it', (t) => {
  const line = (entry: Record<string, unknown>) =>
    parseEntry(JSON.stringify({ __REALTIME_TIMESTAMP: '1700000000000000', ...entry }))
  t.match(line({ _SYSTEMD_UNIT: 'deploy-shop@b.service', MESSAGE: 'hello', PRIORITY: '6' }), {
    at: '2023-11-14T22:13:20.000Z',
    slot: 'b',
    stream: 'out',
    line: 'hello',
  })
  t.match(line({ UNIT: 'deploy-shop@a.service', MESSAGE: 'Started' }), { slot: 'a', stream: 'supervisor' })
  t.match(line({ _SYSTEMD_UNIT: 'deploy-shop@a.service', MESSAGE: [104, 105], PRIORITY: '3' }), {
    stream: 'err',
    line: 'hi',
  })
  t.equal(parseEntry('cut in the mid'), null)
  t.end()
})
