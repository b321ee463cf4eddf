import t from 'tap'
import { makeRig, type Ran } from '../rig/rig.ts'

const names = ['web1', 'web2', 'web3', 'web4', 'web5']
const inBatches = ['--canary', '1', '--bake', '1', '--batch', '2']

/** Hosts in the order in which they came to an end, and how. */
const results = ({ events }: Ran) =>
  events
    .filter(({ type }) => type === 'result')
    .map(({ host, result }) => `${String(host)} ${String(result)}`)
const states = ({ events }: Ran) => events.filter(({ type }) => type === 'rollout').map(({ state }) => state)

t.test('a rollout over five hosts', async (t) => {
  const rig = await makeRig(t, names)
  const serving = () => Promise.all(names.map((name) => rig.get(name)))
  t.equal((await rig.cli('push', '-m', 'first')).code, 0)

  await t.test('canary, bake, batches', async (t) => {
    rig.version('v2')
    const ran = await rig.cli('push', '--json', ...inBatches)
    t.equal(ran.code, 0, ran.stdout)
    t.strictSame(states(ran), ['canary', 'baking', 'batch', 'batch', 'done'])
    const ended = results(ran)
    t.equal(ended[0], 'web1 committed')
    t.strictSame(ended.slice(1, 3).sort(), ['web2 committed', 'web3 committed'])
    t.strictSame(ended.slice(3).sort(), ['web4 committed', 'web5 committed'])
    t.strictSame(
      await serving(),
      names.map(() => 'v2'),
    )
    const list = await rig.cli('rollout', 'list')
    t.match(list.stdout, /done +5 committed\n.*done +5 committed/)
  })

  await t.test('a canary that fails goes back, and nobody follows it', async (t) => {
    rig.version('sick')
    const ran = await rig.cli('push', ...inBatches)
    t.equal(ran.code, 8, ran.stderr)
    t.match(ran.stderr, /canary: web1\n/)
    t.match(ran.stderr, /E_PROBE_FAILED/)
    t.match(ran.stderr, /Production is safe: the old release serves again/)
    t.strictSame(
      await serving(),
      names.map(() => 'v2'),
    )
    t.match(
      (await rig.cli('rollout', 'show')).stdout,
      /failed: too many hosts failed\n[^]*canary: rolled-back web1\n +batch 2: left web2, web3/,
    )
  })

  await t.test(
    'a host that fails in its batch: what has switched is taken back where that is asked for',
    async (t) => {
      rig.version('sick@web4')
      const ran = await rig.cli('push', '--json', ...inBatches, '--on-failure', 'roll-back-all')
      t.equal(ran.code, 8, ran.stdout)
      t.strictSame(states(ran).slice(-2), ['rolling-back', 'rolled-back'])
      t.strictSame(
        await serving(),
        names.map(() => 'v2'),
      )
      t.equal((await rig.cli('history', '--verify')).code, 0)
    },
  )

  await t.test('or it stops there, and goes on with retry, or back with abort', async (t) => {
    rig.version('sick@web4')
    const ran = await rig.cli('push', ...inBatches)
    t.equal(ran.code, 9, ran.stderr)
    t.match(
      ran.stderr,
      /E_PARTIAL +4 of 5 hosts run the new release; the others do not: web4\.\n.*\n +Next: On: `deployctl rollout retry [0-9a-f]{8}`/,
    )
    t.strictSame(await serving(), ['sick', 'sick', 'sick', 'v2', 'sick'])
    const again = await rig.cli('rollout', 'retry')
    t.match(again, { code: 9, stderr: /E_PARTIAL/ }, 'it is no better than before')
    const back = await rig.cli('rollout', 'abort', '--undo', 'all', '--json')
    t.equal(back.code, 0, back.stdout)
    t.strictSame(
      await serving(),
      names.map(() => 'v2'),
    )
    t.match((await rig.cli('rollout', 'show')).stdout, /reverted web1/)
  })

  await t.test('failures within the limit stop nothing', async (t) => {
    rig.version('sick@web2')
    const ran = await rig.cli('push', ...inBatches, '--max-failures', '1', '--json')
    t.equal(ran.code, 9)
    t.strictSame(await serving(), ['sick', 'v2', 'sick', 'sick', 'sick'])
    t.equal((await rig.cli('rollback')).code, 0)
  })

  await t.test('a canary that waits to be promoted', async (t) => {
    rig.version('v3')
    const ran = await rig.cli('push', ...inBatches, '--promote')
    t.match(ran, { code: 12, stderr: /E_PAUSED .*the canary waits to be promoted\. 1 of 5 hosts/ })
    t.equal(await rig.get('web1'), 'v3')
    t.equal(await rig.get('web2'), 'v1', 'what it ran before, and not what was bad there')
    const on = await rig.cli('rollout', 'promote', '--json')
    t.equal(on.code, 0, on.stdout)
    t.strictSame(
      await serving(),
      names.map(() => 'v3'),
    )
    t.match(await rig.cli('rollout', 'promote'), { code: 5, stderr: /E_ROLLOUT_STATE .* is done/ })
  })

  await t.test('paused from another terminal, and gone on with', async (t) => {
    rig.version('v4')
    const pushing = rig.begin('push', '--json', '--batch', '1', '--batch-bake', '3')
    await pushing.says(/"type":"result","host":"web1"/)
    const told = await rig.cli('rollout', 'pause')
    t.equal(told.code, 0, told.stderr)
    const ran = await pushing.ended
    t.equal(ran.code, 12, ran.stdout)
    t.equal(await rig.get('web1'), 'v4')
    t.equal(await rig.get('web5'), 'v3')
    t.match(
      (await rig.cli('rollout', 'show')).stdout,
      /paused: somebody asked for it[^]*on: deployctl rollout resume/,
    )
    t.equal((await rig.cli('rollout', 'resume')).code, 0)
    t.strictSame(
      await serving(),
      names.map(() => 'v4'),
    )
  })

  await t.test('stopped in the middle of a batch, all goes back', async (t) => {
    rig.configure({ minHealthySeconds: 1 })
    rig.version('v5')
    const pushing = rig.begin('push', '--json', '--parallel', '1')
    await pushing.says(/"type":"result","host":"web1"/)
    const told = await rig.cli('rollout', 'abort', '--undo', 'all')
    t.equal(told.code, 0, told.stderr)
    t.equal((await pushing.ended).code, 8)
    t.strictSame(
      await serving(),
      names.map(() => 'v4'),
    )
  })

  await t.test('Ctrl-C where nobody can be asked pauses it', async (t) => {
    rig.version('v6')
    const pushing = rig.begin('push', '--batch', '1', '--parallel', '1')
    await pushing.says(/batch 2 of 5/)
    pushing.signal('SIGINT')
    const ran = await pushing.ended
    t.match(ran, { code: 12, stderr: /pausing: the hosts at work come to their end first[^]*E_PAUSED/ })
    t.equal(await rig.get('web1'), 'v6')
    t.equal(await rig.get('web5'), 'v4')
    t.equal((await rig.cli('rollout', 'abort', '--undo', 'all')).code, 0)
    t.strictSame(
      await serving(),
      names.map(() => 'v4'),
    )
  })

  await t.test('of two rollouts at once the second is told who came first', async (t) => {
    rig.version('v6')
    const first = await rig.cli('push', '--canary', '1', '--bake', '0', '--promote', '--json')
    t.equal(first.code, 12, first.stdout)
    const id = String(first.events.find(({ type }) => type === 'rollout')?.['id'])
    rig.version('v7')
    const second = await rig.cli('push')
    t.equal(second.code, 0, second.stderr)
    const on = await rig.cli('rollout', 'promote', id)
    t.match(on, {
      code: 9,
      stderr: /E_CHANGED_MEANWHILE +web2 runs another release than when the rollout began/,
    })
    t.strictSame(
      await serving(),
      names.map(() => 'v7'),
    )
  })
})
