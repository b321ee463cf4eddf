import t from 'tap'
import type { Manifest } from '../../../shared/formats/manifest.ts'
import { changedPaths } from '../../../shared/plan/changes.ts'
import { planActivation } from '../../../shared/plan/planner.ts'

function release(files: Record<string, string>, change: Partial<Manifest> = {}): Manifest {
  return {
    spec: 'deployctl/release/v1',
    fleet: '0'.repeat(32),
    service: 'shop',
    version: 'v1',
    created: '2026-01-01T00:00:00.000Z',
    files: Object.entries(files).map(([path, text]) => ({
      path,
      mode: '0644',
      size: text.length,
      sha256: text.padEnd(64, '0'),
    })),
    links: [],
    emptyDirs: [],
    run: { argv: ['node', 'server.js'], sockets: [{ name: 'http', port: 80 }] },
    health: {},
    activation: {},
    minimumAgent: 1,
    provenance: { commit: null, dirty: false, builder: 'test', lockfile: null },
    ...change,
  }
}
const before = release({ 'a.js': 'a', 'b.js': 'b', '.deployctl-version': '1' })
const plan = (next: Manifest, change: Partial<Parameters<typeof planActivation>[0]> = {}) =>
  planActivation({
    previous: { manifest: before, environment: null },
    next: { manifest: next, environment: null },
    isEnvironmentChanged: false,
    requested: 'auto',
    ...change,
  })

t.test('a plan names what differs', (t) => {
  const next = release(
    { 'a.js': 'A', 'c.js': 'c', '.deployctl-version': '2' },
    { health: { minHealthySeconds: 5 }, run: { argv: ['node', 'other.js'] } },
  )
  const { strategy, reasons } = plan(next, { isEnvironmentChanged: true })
  t.equal(strategy, 'restart')
  t.same(reasons, [
    '3 files changed: a.js, c.js, b.js',
    'the command line changed',
    'the sockets changed',
    'its probes changed',
    'the environment changed',
    'it has no socket of ours, and deploy.yaml does not say that two may overlap: it is away while it restarts',
  ])
  t.end()
})

t.test('the first release, the same again, a wish', (t) => {
  t.same(plan(before, { previous: null }).reasons, ['nothing runs there yet: it is started'])
  t.match(plan(before).reasons[0], /same files and settings/)
  t.ok(plan(before, { requested: 'restart' }).reasons.includes('restart was asked for'))
  t.match(plan(before, { requested: 'restart' }).reasons.at(-1), /connections wait/)
  t.end()
})

t.test('two run side by side where they can; where not, it says why', (t) => {
  const [http] = before.run.sockets ?? []
  if (!http) throw new Error('no socket')
  const like = (change: Partial<Manifest>) => ({ ...before, ...change })
  const planned = (next: Manifest, previous = before, requested: 'auto' | 'handover' = 'auto') =>
    plan(next, { previous: { manifest: previous, environment: null }, requested })
  t.match(planned(before), { strategy: 'handover', reasons: [/./, /side by side/] })
  const cases: [Manifest, Manifest, RegExp][] = [
    [
      like({ activation: { exclusive: ['data.sqlite', 'port 9000'] } }),
      before,
      /only one .* data\.sqlite, port 9000/,
    ],
    [before, like({ activation: { exclusive: ['a lock'] } }), /only one .* a lock/],
    [like({ activation: { overlap: false } }), before, /overlap: false/],
    [
      like({ run: { argv: ['x'], sockets: [http, { name: 'quic', port: 443, type: 'udp' }] } }),
      before,
      /udp socket "quic"/,
    ],
    [like({ run: { argv: ['x'] } }), like({ run: { argv: ['x'] } }), /no socket of ours/],
    [
      like({ run: { argv: ['x'], sockets: [http, { name: 'deployctl', private: true }] } }),
      before,
      /its sockets are others/,
    ],
  ]
  for (const [next, previous, why] of cases) {
    const auto = planned(next, previous)
    t.equal(auto.strategy, 'restart')
    t.ok(
      auto.reasons.some((reason) => why.test(reason)),
      auto.reasons.join('; '),
    )
    t.match(planned(next, previous, 'handover'), { strategy: 'none', refusal: why })
  }
  const probed = like({ health: { probes: [{ type: 'tcp' }] } })
  t.match(planned(probed).reasons.at(-1), /no private socket/, 'and what it cannot see')
  const worker = like({ run: { argv: ['x'] }, activation: { overlap: true } })
  t.equal(planned(worker, worker).strategy, 'handover', 'a worker that may overlap')
  t.equal(planned(like({ activation: { strategy: 'restart' } })).strategy, 'restart', 'by deploy.yaml')
  const elsewhere = { sockets: [{ name: 'http', port: 81 }] }
  const moved = plan(before, { next: { manifest: before, environment: elsewhere } })
  t.equal(moved.strategy, 'restart', 'the environment has it listen somewhere else')
  t.end()
})

t.test('a mode, a link and a removal are changes; the version is not', (t) => {
  const [first] = before.files
  if (!first) throw new Error('no file')
  t.same(changedPaths(before, { ...before, files: [{ ...first, mode: '0755' }, ...before.files.slice(1)] }), [
    'a.js',
  ])
  t.same(changedPaths(before, { ...before, links: [{ path: 'l', target: 'a.js' }] }), ['l'])
  t.same(changedPaths(before, { ...before, files: before.files.slice(1) }), ['a.js'])
  t.same(changedPaths(before, release({ 'a.js': 'a', 'b.js': 'b', '.deployctl-version': '9' })), [])
  const many = release(Object.fromEntries(['q', 'r', 's', 'u'].map((name) => [`${name}.js`, name])))
  t.match(plan(many).reasons[0], /^6 files changed: q.js, r.js, s.js and 3 more$/)
  t.end()
})
