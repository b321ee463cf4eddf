import { mkdtemp, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readInventory } from '../../../controller/config/inventory.ts'
import { loadProject } from '../../../controller/config/load.ts'
import { rolloutRule } from '../../../controller/config/rollout-policy.ts'
import { fits, parseSelector } from '../../../controller/config/selector.decide.ts'
import { resolveTarget } from '../../../controller/config/target.ts'

const yaml = (inventory: string) => `service: shop
run: { argv: [node, server.js] }
environments:
  production:
    hosts:
      web1: { address: web1.example.com, labels: { zone: eu, role: web } }
    inventory:
${inventory}
`

async function makeProject(t: Test, inventory: string, files: Record<string, string> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'deployctl-inventory-'))
  t.teardown(() => import('node:fs/promises').then(({ rm }) => rm(dir, { recursive: true })))
  for (const [name, text] of Object.entries({ ...files, 'deploy.yaml': yaml(inventory) })) {
    await mkdir(join(dir, name, '..'), { recursive: true })
    await writeFile(join(dir, name), text)
  }
  return { project: await loadProject(dir), dir }
}

t.test(
  'hosts from a file, from ssh settings and from a command stand beside those of deploy.yaml',
  async (t) => {
    const { project, dir } = await makeProject(
      t,
      `      - { file: hosts/more.yaml }
      - { sshConfig: 'db-*', labels: { role: db } }
      - { command: [node, -p, 'JSON.stringify({ job1: { address: "10.0.0.9:2222", labels: { zone: "us" } } })'] }`,
      {
        'hosts/more.yaml': 'web2: { address: web2.example.com, labels: { zone: us, role: web } }\n',
        'ssh/config': 'Include extra/*\nHost db-a db-b\n  HostName 10.0.0.1\nHost *\n  User x\nHost other\n',
        'ssh/extra/one': 'Host db-c\n  Port 23\n',
      },
    )
    const inventory = await readInventory(project, 'production', {
      ...process.env,
      DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh/config'),
    })
    const names = (on: string) =>
      resolveTarget(project.config, undefined, {
        inventory,
        on: on === '' ? [] : parseSelector(on),
      }).hosts.map(({ name }) => name)
    t.strictSame(names('').sort(), ['db-a', 'db-b', 'db-c', 'job1', 'web1', 'web2'])
    t.strictSame(names('zone=us'), ['web2', 'job1'])
    t.strictSame(names('role=web,zone!=us'), ['web1'])
    t.strictSame(names('role=db|web,zone!=eu').sort(), ['db-a', 'db-b', 'db-c', 'web2'])
  },
)

t.test('what is wrong with an inventory is told with its source', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['a missing file', '      - { file: none.yaml }', /none\.yaml cannot be used: .*ENOENT/],
    ['another shape', "      - { command: [node, -p, '[1]'] }", /cannot be used/],
    ['an unknown key', `      - { command: [node, -p, 'JSON.stringify({a:{address:"x",port:1}})'] }`, /\/a/],
    [
      'a failed command',
      "      - { command: [node, -e, 'console.error(`no cloud`);process.exit(3)'] }",
      /ended with 3: no cloud/,
    ],
    ['a name twice', '      - { file: more.yaml }', /web1 is in deploy\.yaml as well/],
  ]
  for (const [name, inventory, expected] of cases) {
    const { project } = await makeProject(t, inventory, { 'more.yaml': 'web1: other.example.com\n' })
    await t.rejects(
      readInventory(project, 'production', process.env),
      { code: 'E_INVENTORY', message: expected },
      name,
    )
  }
})

t.test('a selector is conditions on labels', async (t) => {
  t.equal(fits(parseSelector('zone=eu'), {}), false)
  t.equal(fits(parseSelector('zone!=eu'), {}), true)
  for (const text of ['zone', '=eu', 'zone=', 'a=b,,c=d'])
    t.throws(() => parseSelector(text), { code: 'E_USAGE' }, text)
})

t.test('later layers of a rollout count before earlier ones, key by key', async (t) => {
  const rule = rolloutRule(
    { parallel: 4, canary: { count: 1, bakeSeconds: 5 }, onFailure: 'roll-back-all' },
    { canary: { bakeSeconds: 9 }, batches: { size: '25%' } },
    { parallel: 2, maxFailures: 3 },
  )
  t.match(rule, {
    policy: {
      parallel: 2,
      bakeSeconds: { canary: 9, batch: 0 },
      onFailure: 'roll-back-all',
      maxFailures: { batch: 3, total: 3 },
    },
    batches: { canary: 1, size: '25%', oneAtATime: [] },
    onUnreachable: 'fail',
  })
  t.match(rolloutRule(), {
    policy: { parallel: 8, promote: 'auto', onFailure: 'stop' },
    batches: { canary: null, size: null },
  })
})
