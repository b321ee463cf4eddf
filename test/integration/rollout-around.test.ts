import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { handingOverRig } from '../rig/handing-over.ts'
import { makeRig } from '../rig/rig.ts'

t.test('a freeze is kept by the hosts, for everybody, until its end', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  t.equal((await rig.cli('push')).code, 0)
  const frozen = await rig.cli('freeze', '--hours', '4', '-m', 'the sale')
  t.equal(frozen.code, 0, frozen.stderr)
  t.match(frozen.stdout, /echo is frozen until .* UTC on web1, web2/)
  t.match((await rig.cli('status')).stdout, /web1 .*frozen until .*: the sale/)
  rig.version('v3')
  t.match(await rig.cli('push'), { code: 5, stderr: /E_FROZEN +echo is frozen until .* by .*: the sale/ })
  t.equal(await rig.get('web2'), 'v2')
  const back = await rig.cli('rollback')
  t.equal(back.code, 0, back.stderr)
  t.equal(await rig.get('web2'), 'v1', 'going back is always possible')
  await rig.host('web1').kill()
  await rig.host('web1').start()
  t.equal((await rig.cli('push')).code, 5, 'a new agent knows it as well')
  t.equal((await rig.cli('push', '--despite-freeze', '-m', 'the till is down')).code, 0)
  t.equal(await rig.get('web1'), 'v3')
  rig.version('v4')
  t.equal((await rig.cli('unfreeze')).code, 0)
  t.equal((await rig.cli('push')).code, 0)
  t.match(await rig.cli('freeze', '--until', '2020-01-01'), { code: 2, stderr: /within a year/ })
})

t.test('a rehearsal proves the way back before anything is switched', async (t) => {
  const rig = await handingOverRig(t)
  rig.version('v2')
  const good = await rig.cli('push', '--rehearse')
  t.equal(good.code, 0, good.stderr)
  t.match(good.stderr, /rehearsing the way back/)
  t.equal(await rig.get('web1'), 'v2')
  const { active, instances } = await rig.state('web1')
  t.equal(instances.length, 1, 'what was rehearsed has ended')
  // What would be gone back to has lost a file.
  const trees = join(rig.host('web1').dir, 'releases')
  const tree = readdirSync(trees, { recursive: true, encoding: 'utf8' }).find(
    (path) => path.includes(active ?? '?') && path.endsWith('version.txt'),
  )
  rmSync(join(trees, tree ?? '?'), { force: true })
  rig.version('v3')
  const bad = await rig.cli('push', '--rehearse')
  t.match(bad, { code: 7, stderr: /E_REHEARSAL +What the host would go back to cannot be proved to start/ })
  t.equal(await rig.get('web1'), 'v2')
  t.equal((await rig.state('web1')).instances.length, 1)
})

t.test('without a way to it alone nothing can be rehearsed, and that is said', async (t) => {
  const rig = await makeRig(t)
  t.equal((await rig.cli('push', '--rehearse')).code, 0, 'the first release has nothing to go back to')
  rig.version('v2')
  t.match(await rig.cli('push', '--rehearse'), { code: 7, stderr: /E_REHEARSAL .*no private socket/ })
  t.equal(await rig.get('web1'), 'v1')
})

t.test('hooks of the signed release, on both sides', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  const log = join(rig.home.dir, 'hooks.log')
  const hook = (name: string, more = '') =>
    `{ run: [sh, -c, 'echo ${name} $DEPLOYCTL_HOOK $DEPLOYCTL_ENVIRONMENT $DEPLOYCTL_VERSION >> ${log}; echo said ${name}${more}'] }`
  const configure = (before: string) =>
    rig.configure({
      extra: `hooks:
  controller: { before: [${hook('here')}], after: [${hook('done')}] }
  host: { before: [${before}], after: [${hook('after', '; exit 1')}] }`,
    })
  configure(hook('there'))
  const ran = await rig.cli('push')
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stderr, /said here[^]*web1 .*said there/)
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  t.strictSame(
    lines.map((line) => line.split(' ').slice(0, 3).join(' ')),
    [
      'here before production',
      'there before production',
      'there before production',
      'after after production',
      'after after production',
      'done after production',
    ],
  )
  t.match((await rig.cli('why', '--host', 'web1')).stdout, /after hook .* failed: it ended with 1/)
  rig.version('v2')
  configure(hook('no', '; exit 3'))
  t.match(await rig.cli('push'), { code: 7, stderr: /E_HOOK_FAILED .*it ended with 3/ })
  t.equal(await rig.get('web1'), 'v1')
  const left = join(rig.home.dir, 'left')
  configure(`{ run: [sh, -c, '(sleep 3; touch ${left}) & wait'], timeoutSeconds: 1 }`)
  t.match(await rig.cli('push'), { code: 7, stderr: /E_HOOK_FAILED .*ended after 1 s/ })
  await delay(3500)
  t.notOk(existsSync(left), 'and with it all that it started')
})

t.test('others are told by webhook, signed, and again when they do not answer', async (t) => {
  const rig = await makeRig(t)
  const got: { headers: IncomingHttpHeaders; body: string; path: string }[] = []
  let refused = 0
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.url === '/hook' && refused++ === 0) return void response.writeHead(503).end()
      got.push({ headers: request.headers, body, path: request.url ?? '' })
      response.end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  rig.configure({
    extra: `notify:
  - { url: 'http://127.0.0.1:${port}/hook', secret: { env: HOOK_SECRET } }
  - { url: { env: SLACK_URL }, shape: slack, on: [done] }
  - { url: 'http://127.0.0.1:1/nobody', on: [begun] }`,
  })
  Object.assign(rig.home.env, { HOOK_SECRET: secret, SLACK_URL: `http://127.0.0.1:${port}/slack` })
  const ran = await rig.cli('push')
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stderr, /rollout\.begun was not delivered/, 'nobody there is no reason to fail')
  const [slack, hook] = got.sort((a, b) => b.path.localeCompare(a.path))
  t.match(JSON.parse(slack?.body ?? ''), {
    text: /^echo .* to production: done\n1 committed\. It runs the new release/,
  })
  const signed = new Webhook(secret).verify(hook?.body ?? '', hook?.headers as Record<string, string>)
  t.match(signed, { type: 'rollout.done', data: { service: 'echo', hosts: { committed: 1 } } })
  t.notMatch(`${ran.stdout}${ran.stderr}`, secret)
})

t.test('why: one page that explains a failure', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  rig.version('sick@web2')
  t.equal((await rig.cli('push', '-m', 'new checkout')).code, 9)
  const file = join(rig.home.dir, 'why.md')
  t.equal((await rig.cli('why', '-o', file)).code, 0)
  const page = readFileSync(file, 'utf8')
  for (const part of [
    /^# echo .* to production: deploy/,
    /ordered by .*: “new checkout”/,
    /## Rollout [0-9a-f]{8}: partial, too many hosts failed/,
    /## web2: rolled-back by handover/,
    /\*\*E_PROBE_FAILED\*\*/,
    /Why so:\n- 1 file changed: version\.txt/,
    /\+.* +switching/,
    /What the probes got:\n\n +http \/: 500/,
    /Last lines of the new release:\n\n +out sick@?.* listens|Last lines of the new release:\n\n +out sick listens/,
    /Last lines of the old release:\n\n[^]*v1 listens/,
    /The host: .*, up .*, agent /,
  ])
    t.match(page, part)
  t.notMatch(page, /## web1/, 'those that are well need no explanation')
  await rig.host('web2').kill()
  t.match(
    (await rig.cli('why')).stdout,
    /E_PROBE_FAILED[^]*switching[^]*The host could not be asked now/,
    'also when it is away',
  )
  t.match((await rig.cli('why', 'ffff')).stderr, /E_ROLLOUT_UNKNOWN|E_/)
})

t.test('a host that was away catches up later', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  await rig.host('web2').kill()
  rig.version('v2')
  const ran = await rig.cli('push', '--skip-unreachable')
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, /web2 .*skipped/)
  t.match(ran.stderr, /web2 will catch up with: deployctl catch-up/)
  await rig.host('web2').start()
  rig.version('not yet released')
  const caught = await rig.cli('catch-up')
  t.equal(caught.code, 0, caught.stderr)
  t.equal(await rig.get('web2'), 'v2', 'what the others have, and not what lies in the directory')
  t.match((await rig.cli('catch-up')).stdout, /No host was left out/)
})

t.test('a canary that fails more requests than the others is found out by its own metrics', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2', 'web3'])
  rig.configure({
    health: `  metrics:
    requests: { name: http_requests_total, labels: { code: '200' } }
    errors: { name: http_requests_total, labels: { code: '5*' } }`,
  })
  t.equal((await rig.cli('push')).code, 0)
  rig.version('worse')
  const pushing = rig.begin('push', '--canary', '1', '--bake', '3', '--on-failure', 'roll-back-all')
  const over = new AbortController()
  void pushing.ended.then(() => over.abort())
  while (!over.signal.aborted) {
    await Promise.all(['web1', 'web2', 'web3'].map((name) => rig.get(name).catch(() => '')))
    await delay(20)
  }
  const ran = await pushing.ended
  t.equal(ran.code, 8, ran.stderr)
  t.match(
    ran.stderr,
    /web1 beside web2, web3 +canary +others +limit[^]*requests that fail +[0-9.]+ % +0\.0 % +1\.0 % +WORSE/,
  )
  t.match(ran.stderr, /the canary does worse than the others: requests that fail/)
  t.equal(await rig.get('web1'), 'v1')
})

t.test('another process takes a rollout over from one that lives', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2', 'web3'])
  t.equal((await rig.cli('push')).code, 0)
  rig.version('v2')
  const first = rig.begin('push', '--json', '--canary', '1', '--bake', '4')
  await first.says(/"state":"baking"/)
  const second = await rig.cli('rollout', 'attach', '--take', '--json')
  t.equal(second.code, 0, second.stdout)
  t.match(await first.ended, { code: 5, stdout: /E_ROLLOUT_TAKEN/ })
  t.equal(await rig.get('web3'), 'v2')
})
