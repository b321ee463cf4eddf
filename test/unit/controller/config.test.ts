import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { editHost } from '../../../controller/config/edit.ts'
import { socketProblem, type SocketSpec } from '../../../shared/formats/sockets.ts'
import { loadProject, parseConfig } from '../../../controller/config/load.ts'
import { hostTarget, resolveTarget } from '../../../controller/config/target.ts'
import { DeployError } from '../../../shared/errors.ts'

const good = `service: shop
run:
  argv: [node, server.js]
  sockets:
    - { name: http, port: 8080 }
health:
  probes:
    - { type: http, path: /healthz }
environments:
  # keep me
  production:
    hosts:
      web1: deployctl@web1.example.com
      web2: { address: 'web2.example.com:2222', transport: system }
    env: { LIMIT: 5, DEBUG: false }
`

function complaint(text: string): string {
  try {
    parseConfig(text, 'deploy.yaml')
    return 'accepted'
  } catch (error) {
    return error instanceof DeployError ? `${error.code} ${error.message}` : String(error)
  }
}

t.test('a good file is taken as it stands', async (t) => {
  t.equal(parseConfig(good, 'deploy.yaml').service, 'shop')
})

t.test('a mistake is named with its line, its column and what to write', async (t) => {
  const cases: [string, string, RegExp][] = [
    [
      'an unknown key',
      good.replace('health:', 'helth:'),
      /deploy\.yaml:6:1: unknown key "helth"; did you mean "health"\?/,
    ],
    [
      'an unknown inner key',
      good.replace('path:', 'pth:'),
      /:8:21: unknown key "pth" in health\.probes\.0; did you mean "path"\?/,
    ],
    [
      'a key nothing is like',
      good.replace('service:', 'service: shop\nzzzzzzzzzzzz:'),
      /known here: service, build/,
    ],
    [
      'a wrong type',
      good.replace('port: 8080', 'port: web'),
      /:5:21: run\.sockets\.0\.port must be an integer/,
    ],
    [
      'a list that is a text',
      good.replace('[node, server.js]', 'node server.js'),
      /:3:3: run\.argv must be a list/,
    ],
    ['a missing key', good.replace('service: shop', ''), /needs "service"/],
    [
      'an unknown kind',
      good.replace('type: http', 'type: htp'),
      /:8:9: health\.probes\.0\.type must be "http" or "tcp" or "command"/,
    ],
    [
      'a wrong choice',
      `${good}rollout: { onUnreachable: maybe }\n`,
      /:16:12: rollout\.onUnreachable must be "fail" or "skip"/,
    ],
    [
      'a probe of no socket',
      good.replace('path: /healthz', 'socket: web'),
      /socket "web", which is not in run\.sockets/,
    ],
    [
      'a bad host',
      good.replace('deployctl@web1.example.com', '-oProxyCommand=x y'),
      /:13:7: environments\.production\.hosts\.web1/,
    ],
    ['a key twice', `${good}service: other\n`, /:16:1: Map keys must be unique/],
    ['broken syntax', 'service: [', /deploy\.yaml:1:11: /],
    [
      'an alias bomb',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(20)}]\nc: &c [${'*b,'.repeat(20)}]\nd: [${'*c,'.repeat(20)}]`,
      /alias/i,
    ],
  ]
  for (const [name, text, expected] of cases) t.match(complaint(text), expected, name)
})

t.test('sockets that cannot be are named', (t) => {
  const one = { name: 'http', port: 80 }
  const cases: [SocketSpec[], RegExp][] = [
    [[one, one], /same name/],
    [[{ name: 'http' }], /either a port or a path/],
    [[{ name: 'x', private: true, port: 1 }], /no address of its own/],
    [
      [
        { name: 'x', private: true },
        { name: 'y', private: true },
      ],
      /only one/,
    ],
    [[{ name: 'deployctl', port: 1 }], /must be private/],
    [[{ name: 'x', path: '/x', type: 'udp' }], /needs a port/],
    [
      [
        ...Array.from({ length: 6 }, (_, n) => ({ name: `s${n}`, port: n + 1 })),
        { name: 'x', private: true },
      ],
      /can be 5 others/,
    ],
  ]
  for (const [sockets, why] of cases) t.match(socketProblem(sockets) ?? '', why)
  t.equal(socketProblem([one, { name: 'deployctl', private: true }]), null)
  t.end()
})

t.test('the only environment is the default, and its values are filled in', async (t) => {
  const target = resolveTarget(parseConfig(good, 'x'), undefined)
  t.equal(target.environment.name, 'production')
  t.same(target.environment.env, { LIMIT: '5', DEBUG: 'false' })
  t.equal(target.rollout.onUnreachable, 'fail')
  t.same(target.hosts[1], {
    name: 'web2',
    user: 'deployctl',
    host: 'web2.example.com',
    port: 2222,
    transport: 'system',
    identity: null,
    labels: {},
  })
  t.same(hostTarget('x', 'me@[::1]:2200'), {
    ...target.hosts[1],
    name: 'x',
    user: 'me',
    host: '::1',
    port: 2200,
    transport: 'auto',
  })
  t.throws(() => resolveTarget(parseConfig(good, 'x'), 'staging'), { code: 'E_ENVIRONMENT_UNKNOWN' })
  t.throws(() => resolveTarget(parseConfig(`${good}  staging: { hosts: {} }\n`, 'x'), undefined), {
    code: 'E_ENVIRONMENT_NEEDED',
    message: /production, staging/,
  })
  t.throws(() => resolveTarget(parseConfig(good, 'x'), undefined, { only: ['web9'] }), {
    code: 'E_HOST_UNKNOWN',
  })
})

t.test('editing hosts keeps the comments', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'config-'))
  const file = join(dir, 'deploy.yaml')
  await writeFile(file, good)
  await editHost(file, 'production', 'web3', 'web3.example.com')
  await editHost(file, 'production', 'web1', null)
  const text = await readFile(file, 'utf8')
  t.match(text, '# keep me')
  t.same(Object.keys((await loadProject(dir)).config.environments['production']?.hosts ?? {}), [
    'web2',
    'web3',
  ])
  await t.rejects(editHost(file, 'production', 'web4', 'no good'), { code: 'E_CONFIG_INVALID' })
  t.equal(await readFile(file, 'utf8'), text)
})

t.test('without a file, init is what comes next', async (t) => {
  await t.rejects(loadProject(await mkdtemp(join(tmpdir(), 'config-'))), { code: 'E_CONFIG_MISSING' })
})

t.test('the example is valid', async (t) => {
  const { config } = await loadProject(new URL('../../../examples/guestbook', import.meta.url).pathname)
  t.equal(config.service, 'guestbook')
})
