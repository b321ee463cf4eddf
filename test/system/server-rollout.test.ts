import { once } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { eventually } from '../rig/hosts/bare.ts'
import { bootHosts, cannotBoot, type TestHosts } from '../rig/hosts/hosts.ts'
import { makeLaptop, type Laptop } from '../rig/hosts/laptop.ts'
import type { Ran } from '../rig/rig.ts'

const noHosts = cannotBoot()
if (noHosts) t.comment(`skipped: ${noHosts}`)
const names = ['web1', 'web2', 'web3', 'web4', 'web5', 'web6']
const own = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')

/** A command under way, whose output can be waited for. */
function follow(child: ChildProcess) {
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (more: string) => (output += more))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return { ended, says: (pattern: RegExp) => eventually(async () => pattern.test(output), 60) }
}

t.test('six booted hosts, and what may happen to them in a rollout', { skip: noHosts }, async (t) => {
  await using rig: TestHosts = await bootHosts(names, [own])
  const laptop: Laptop = await makeLaptop(rig)
  laptop.configure()
  laptop.version('v1')
  for (const [index, name] of names.entries()) {
    const added = await laptop.cli('host', 'add', `root@10.77.0.${index + 11}`, '--name', name, '--yes')
    t.equal(added.code, 0, `${added.stdout}${added.stderr}`)
  }
  const serving = () =>
    Promise.all(
      names.map(async (_, index) => (await laptop.get(`http://10.77.0.${index + 11}:8080/`)).split(' ')[0]),
    )
  const all = (version: string) => names.map(() => version)
  const inBatches = ['--canary', '1', '--bake', '1', '--batch', '3']
  const ok = (ran: Ran) => t.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`.slice(-3000))
  ok(await laptop.cli('push', '--parallel', '6'))
  t.strictSame(await serving(), all('v1'))

  await t.test('a canary that fails stops it', async (t) => {
    laptop.version('sick')
    const ran = await laptop.cli('push', ...inBatches)
    t.match(ran, { code: 8, stderr: /E_PROBE_FAILED/ })
    t.strictSame(await serving(), all('v1'))
  })

  await t.test('a host that dies in its batch is told, comes up whole, and is brought on', async (t) => {
    laptop.version('v2')
    const pushing = follow(laptop.start('push', '--json', ...inBatches, '--max-failures', '1'))
    await pushing.says(/"host":"web3".*"state":"switch/)
    await rig.hosts[2]?.powerCut()
    const { code, output } = await pushing.ended
    t.ok([0, 9, 11].includes(code ?? -1), output.slice(-2000))
    await eventually(async () => /^v[12]$/.test((await serving())[2] ?? ''))
    t.strictSame(
      (await serving()).filter((_, index) => index !== 2),
      all('v2').slice(1),
    )
    if (code !== 0) ok(await laptop.cli('rollout', 'retry'))
    await eventually(async () => (await serving()).every((version) => version === 'v2'))
  })

  await t.test('a host whose agent hangs is given up, and the others go on', async (t) => {
    const web5 = rig.hosts[4]
    laptop.edit((text) => `${text}rollout: { progressSeconds: 6 }\n`)
    laptop.version('v3')
    const pushing = follow(laptop.start('push', '--json', ...inBatches, '--max-failures', '1'))
    await pushing.says(/"host":"web5".*"state":"staging"/)
    await web5?.must('systemctl', 'kill', '--signal=STOP', 'deploy-agent')
    const { code, output } = await pushing.ended
    t.match(output, /E_NO_PROGRESS/)
    t.equal(code, 11, output.slice(-2000))
    t.strictSame(
      (await serving()).filter((_, index) => index !== 4),
      all('v3').slice(1),
    )
    await web5?.run('systemctl', 'kill', '--signal=CONT', 'deploy-agent')
    await web5?.run('systemctl', 'restart', 'deploy-agent')
    await eventually(async () => (await laptop.cli('status')).code === 0, 60)
    ok(await laptop.cli('rollout', 'retry'))
    t.strictSame(await serving(), all('v3'))
  })

  await t.test('the network to half of the hosts is cut: each ends on a whole release', async (t) => {
    const links = (await rig.run(['ip', '-o', 'link', 'show', 'master', 'br0'])).stdout
    const cut = ['web4', 'web5', 'web6'].map(
      (name) => new RegExp(`^\\d+: ([^:@]*${name}[^:@]*)`, 'm').exec(links)?.[1] ?? '',
    )
    t.notOk(cut.includes(''), links)
    const set = async (state: 'up' | 'down') => {
      for (const link of cut) await rig.run(['ip', 'link', 'set', link, state])
    }
    laptop.version('v4')
    const pushing = follow(laptop.start('push', '--json', '--parallel', '6', '--max-failures', '6'))
    await pushing.says(/"state":"switching"/)
    await set('down')
    await delay(4000)
    await set('up')
    const { code, output } = await pushing.ended
    t.ok([0, 9, 11].includes(code ?? -1), output.slice(-2000))
    await eventually(
      async () => (await serving()).every((version) => version === 'v3' || version === 'v4'),
      60,
    )
    t.strictSame((await serving()).slice(0, 3), ['v4', 'v4', 'v4'])
    await eventually(async () => !/deploying/.test((await laptop.cli('status')).stdout), 60)
    ok(await laptop.cli('push', '--parallel', '6'))
    t.strictSame(await serving(), all('v4'))
    ok(await laptop.cli('history', '--verify'))
  })
})
