import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { commands } from '../../controller/commands/all.ts'
import { sources } from '../rig/host.ts'
import { runCli } from '../rig/rig.ts'

/** An empty home and a project in it; no host anywhere. */
function makePlace(t: Test) {
  const home = mkdtempSync(join(tmpdir(), 'deployctl-cli-'))
  const project = join(home, 'shop')
  mkdirSync(project)
  const env = { PATH: process.env['PATH'], HOME: home, DEPLOYCTL_HOME: join(home, 'deployctl') }
  t.comment(home)
  return { project, env, run: (...args: string[]) => runCli(project, env, args) }
}

t.test('every command explains itself, with examples', async (t) => {
  const { run } = makePlace(t)
  const help = await run('--help')
  t.equal(help.code, 0)
  for (const { name, examples } of commands) {
    t.match(help.stdout, new RegExp(`^  ${name} `, 'm'))
    const own = await run(name, '--help')
    t.equal(own.code, 0)
    t.match(own.stdout, /--json/)
    for (const example of examples) t.ok(own.stdout.includes(`  $ ${example}`), `${name}: ${example}`)
    t.same(
      own.stdout.split('\n').filter((line) => line.length > 110),
      [],
      'no line is too long to read',
    )
  }
})

t.test('a wrong command or value says what is right', async (t) => {
  const { run } = makePlace(t)
  const wrong = await run('pusj')
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /Did you mean push/)
  t.equal((await run('push', '--forse')).code, 2)
  const choice = await run('completion', 'tcsh')
  t.equal(choice.code, 2)
  t.match(choice.stderr, /bash, zsh, fish/)
  const missing = await run('push', '--json')
  t.equal(missing.code, 3)
  t.match(missing.events, [{ type: 'error', error: { code: 'E_CONFIG_MISSING', production: 'untouched' } }])
})

const projects: [what: string, files: Record<string, string>, expected: RegExp][] = [
  [
    'a Node project',
    { 'package.json': '{"name":"@me/shop","scripts":{"start":"node dist/main.js","build":"tsc"}}' },
    /service: shop\nbuild:\n {2}command: \[ npm, run, build \]\nrun:\n {2}argv: \[ node, dist\/main.js \]/,
  ],
  [
    'a Node project that says its port',
    { 'package.json': '{"main":"app.js"}', 'app.js': 'app.listen(process.env.PORT || 4000)' },
    /adopt: true\n {2}sockets:\n {4}- \{ name: http, port: 4000 \}/,
  ],
  ['an Elixir project', { 'mix.exs': 'def project, do: [app: :my_shop]' }, /argv: \[ bin\/my_shop, start \]/],
  ['a Procfile', { Procfile: 'web: gunicorn shop:app\n' }, /argv: \[ gunicorn, shop:app \]/],
  ['a static site', { 'index.html': '<p>hello' }, /argv: \[ python3, -m, http.server/],
  ['something else', { 'main.c': 'int main;' }, /argv: \[ .\/start \]/],
]
for (const [what, files, expected] of projects)
  t.test(`init looks at the directory: ${what}`, async (t) => {
    const { project, run } = makePlace(t)
    for (const [name, content] of Object.entries(files)) writeFileSync(join(project, name), content)
    const made = await run('init')
    t.equal(made.code, 0, made.stderr)
    t.match(readFileSync(join(project, 'deploy.yaml'), 'utf8'), expected)
    const doctor = await run('doctor')
    t.equal(doctor.code, 0, doctor.stdout)
    t.match(doctor.stdout, /deploy.yaml is valid/)
    const again = await run('init')
    t.equal(again.code, 3)
    t.match(again.stderr, /E_CONFIG_EXISTS/)
    const pushed = await run('push')
    t.equal(pushed.code, 3)
    t.match(pushed.stderr, /E_NO_HOSTS .*host add/s)
  })

t.test('a mistake in deploy.yaml is shown where it is', async (t) => {
  const { project, run } = makePlace(t)
  writeFileSync(join(project, 'index.html'), '')
  await run('init')
  writeFileSync(
    join(project, 'deploy.yaml'),
    'service: shop\nrun:\n  argv: [node]\n  sokcets: []\nenvironments: { production: { hosts: {} } }\n',
  )
  const ran = await run('plan')
  t.equal(ran.code, 3)
  t.match(ran.stderr, /deploy\.yaml:4:3: .*"sokcets".*"sockets"/)
})

t.test('completion knows commands, flags, environments and hosts', async (t) => {
  const { project, run } = makePlace(t)
  const ask = async (...words: string[]) =>
    (await run('complete', '--', ...words)).stdout
      .split('\n')
      .map((line) => line.split('\t')[0])
      .filter((word) => word && !word.startsWith(':'))
  t.same(await ask('pus'), ['push'])
  t.ok((await ask('push', '--')).includes('--strategy'))
  t.same(await ask('push', '--env', ''), [], 'no deploy.yaml, no names, no complaint')
  writeFileSync(
    join(project, 'deploy.yaml'),
    'service: shop\nrun: { argv: [x] }\nenvironments: { live: { hosts: { web1: a, web2: b } }, test: { hosts: { t1: c } } }\n',
  )
  t.same(await ask('push', '--env', ''), ['live', 'test'])
  t.same(await ask('logs', '--host', 'w'), ['web1', 'web2'])
  t.same(await ask('host', 't'), ['trust'])
  for (const shell of ['bash', 'zsh', 'fish'])
    t.match((await run('completion', shell)).stdout, /deployctl complete --/, shell)
})

t.test('whoever stops reading stops nothing', async (t) => {
  const { project, env } = makePlace(t)
  const child = spawn(process.execPath, [sources.cli, 'init'], { cwd: project, env })
  child.stdout.destroy()
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.equal(await text(child.stderr), '')
  t.equal(await ended, 0)
  t.ok(existsSync(join(project, 'deploy.yaml')))
})
