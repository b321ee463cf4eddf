import { spawnSync } from 'node:child_process'
import t from 'tap'
import { beginInTerminal, makeRig } from '../rig/rig.ts'

const isThere = spawnSync('script', ['--version']).status === 0
const skip = !isThere && 'there is no `script` of util-linux, which gives a program a terminal'
const names = ['web1', 'web2', 'web3']
const ctrlC = '\u0003'
const down = '\u001B[B'
const enter = '\r'

t.test('Ctrl-C in a terminal asks what is meant', { skip }, async (t) => {
  const rig = await makeRig(t, names)
  t.equal((await rig.cli('push')).code, 0)
  rig.configure({ minHealthySeconds: 1 })
  const serving = () => Promise.all(names.map((name) => rig.get(name)))
  const begin = () => beginInTerminal(rig.project, rig.home.env, ['push', '--batch', '1', '--parallel', '1'])

  await t.test('go on', async (t) => {
    rig.version('v2')
    const pushing = begin()
    await pushing.says(/batch 1 of 3/)
    pushing.type(ctrlC)
    await pushing.says(/What now\?[^]*Go on[^]*Detach[^]*Pause[^]*Abort and take back/)
    pushing.type(enter)
    t.equal((await pushing.ended).code, 0)
    t.strictSame(await serving(), ['v2', 'v2', 'v2'])
  })

  await t.test('pause', async (t) => {
    rig.version('v3')
    const pushing = begin()
    await pushing.says(/batch 1 of 3/)
    pushing.type(ctrlC)
    await pushing.says(/Abort and take back/)
    pushing.type(down + down + enter)
    t.match(await pushing.ended, { code: 12, stdout: /E_PAUSED/ })
    t.strictSame(await serving(), ['v3', 'v2', 'v2'])
    t.equal((await rig.cli('rollout', 'resume')).code, 0)
  })

  await t.test('abort and take back', async (t) => {
    rig.version('v4')
    const pushing = begin()
    await pushing.says(/batch 2 of 3/)
    pushing.type(ctrlC)
    await pushing.says(/Abort and take back/)
    pushing.type(down + down + down + down + enter)
    t.equal((await pushing.ended).code, 8)
    t.strictSame(await serving(), ['v3', 'v3', 'v3'])
  })

  await t.test('detach: another process sees it through', async (t) => {
    rig.version('v5')
    const pushing = begin()
    await pushing.says(/batch 1 of 3/)
    pushing.type(ctrlC)
    await pushing.says(/Abort and take back/)
    pushing.type(down + enter)
    t.match(await pushing.ended, { stdout: /goes on without this command[^]*rollout attach/ })
    const attached = await rig.cli('rollout', 'attach')
    t.equal(attached.code, 0, attached.stderr)
    t.strictSame(await serving(), ['v5', 'v5', 'v5'])
  })
})
