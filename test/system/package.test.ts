import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeRig } from '../rig/rig.ts'

const root = new URL('../..', import.meta.url).pathname

/**
 * The package as npm would install it: unpacked into a node_modules, beside the packages it depends on,
 * which are borrowed from here since tests do not go to the registry.
 */
function installPackage(): string {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-package-'))
  const modules = join(dir, 'node_modules')
  const own = join(modules, 'deployctl')
  mkdirSync(own, { recursive: true })
  execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: root, stdio: 'pipe' })
  const archive = readdirSync(dir).find((name) => name.endsWith('.tgz')) ?? ''
  execFileSync('tar', ['-xzf', join(dir, archive), '-C', own, '--strip-components=1'])
  const { dependencies } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) {
    mkdirSync(join(modules, name, '..'), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return own
}

t.test('the package that npm packs does the whole job', async (t) => {
  const own = installPackage()
  t.notOk(readdirSync(own).includes('controller'), 'no sources in it')
  t.match(readFileSync(join(own, 'dist', 'THIRD-PARTY.txt'), 'utf8'), /^ssh2 1\./m)
  const programs = {
    cli: join(own, 'bin', 'deployctl.cjs'),
    agent: join(own, 'bin', 'deploy-agent.cjs'),
  }
  const rig = await makeRig(t, ['web1', 'web2'], programs)
  t.match((await rig.cli('--version')).stdout, /^\d+\.\d+\.\d+\n$/)
  const first = await rig.cli('push')
  t.equal(first.code, 0, first.stderr)
  rig.version('v2')
  const built = await rig.cli('build', '-o', 'saved')
  t.equal(built.code, 0, built.stderr)
  t.equal((await rig.cli('verify', 'saved')).code, 0)
  const second = await rig.cli('push', '--from', 'saved')
  t.equal(second.code, 0, second.stderr)
  for (const name of ['web1', 'web2']) t.equal(await rig.get(name), 'v2')
  rig.version('sick')
  t.equal((await rig.cli('push')).code, 8)
  for (const name of ['web1', 'web2']) t.equal(await rig.get(name), 'v2')
  t.equal((await rig.cli('history', '--verify')).code, 0)
  t.equal((await rig.cli('doctor')).code, 0)
})
