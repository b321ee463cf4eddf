import { appendFileSync, cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bare } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { sources } from '../rig/host.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

const file = (path: string) => new URL(`../../${path}`, import.meta.url).pathname

t.test('the server chapter of the README, typed as it stands', { skip }, async (t) => {
  const chapter =
    /## On your server\n[^]*?```sh\n([^]*?)```/.exec(readFileSync(file('README.md'), 'utf8'))?.[1] ?? ''
  const commands = chapter
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line.startsWith('deployctl '))
  t.ok(commands.length > 8)

  await using rig = await bare()
  const { laptop } = rig
  laptop.alias('web1.example.com', '10.77.0.11')
  const project = join(laptop.home.dir, 'your-project')
  cpSync(file('examples/guestbook'), project, { recursive: true })
  rmSync(join(project, 'deploy.yaml'))
  cpSync(file('node_modules/pretty-ms'), join(project, 'node_modules/pretty-ms'), { recursive: true })
  for (const command of commands) {
    const [, ...words] = command.split(/\s+/)
    if (words[0] === 'push') appendFileSync(join(project, 'README.md'), 'The next change.\n')
    // On a terminal, and whoever sits there says yes.
    const line = [process.execPath, sources.cli, ...words].join(' ')
    const ran = await rig.run(['script', '-qec', line, '/dev/null'], {
      cwd: project,
      env: { ...laptop.home.env, TERM: 'xterm' },
      input: 'y',
    })
    t.equal(ran.status, 0, `${command}\n${ran.stdout}`)
    if (words[0] === 'push') t.match(await laptop.get('http://10.77.0.11:8080/'), /guest/i)
  }
})
