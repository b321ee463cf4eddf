import t, { type Test } from 'tap'
import { commandsOf } from '../rig/chapter.ts'
import { beginCli, makeRig, type Rig } from '../rig/rig.ts'

/** @param before called before each command */
async function type(
  t: Test,
  rig: Rig,
  page: string,
  heading: string,
  before: (words: string[]) => void = () => {},
) {
  const commands = commandsOf(page, heading)
  t.ok(commands.length > 8, `${commands.length} commands`)
  for (const { words, comment, line } of commands) {
    const expected = Number(/ends with (\d+)/.exec(comment)?.[1] ?? 0)
    before(words)
    const ran = await rig.cli(...words)
    t.equal(ran.code, expected, `${line}\n${ran.stdout}${ran.stderr}`)
  }
}

t.test('the chapter "Rolling out", typed as it stands', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2', 'web3', 'web4', 'web5'])
  let version = 1
  await type(t, rig, 'rollouts.md', 'In ten minutes', ([command]) => {
    if (command === 'push') rig.version(`v${(version += 1)}`)
  })
})

t.test('the chapter on the controller, typed as it stands beside one that serves', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const serving = beginCli(rig.project, rig.home.env, ['serve', '--port', '0', '--json'])
  t.teardown(() => serving.signal('SIGKILL'))
  await serving.says(/"type":"serving"/)
  await type(t, rig, 'controller.md', 'In five minutes')
  await serving.says(/nightly .*: done, .* on 2 hosts/)
  t.equal(await rig.get('web2'), 'v2')
  serving.signal('SIGTERM')
  t.equal((await serving.ended).code, 0)
})
