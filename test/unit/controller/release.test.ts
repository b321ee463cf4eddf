import { execFileSync } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseConfig } from '../../../controller/config/load.ts'
import { createFleet, openFleet, openSigner } from '../../../controller/identity/fleet.ts'
import { buildRelease, type BuildOptions } from '../../../controller/release/build.ts'
import { listFiles } from '../../../controller/release/list-files.ts'
import { openSaved, readSavedContent, saveRelease } from '../../../controller/release/saved.ts'

const yaml = (extra = '') =>
  `service: shop\nrun: { argv: [node, server.js] }\nenvironments: { production: { hosts: {} } }\n${extra}`

async function makeProject(extra = '') {
  const dir = await mkdtemp(join(tmpdir(), 'release-'))
  const project = join(dir, 'project')
  await mkdir(join(project, 'lib', 'empty'), { recursive: true })
  await writeFile(join(project, 'server.js'), 'console.log(1)\n')
  await writeFile(join(project, 'lib', 'a.js'), 'export const a = 1\n')
  await writeFile(join(project, '.env'), 'SECRET=1\n')
  await writeFile(join(project, 'start.sh'), '#!/bin/sh\n')
  await chmod(join(project, 'start.sh'), 0o755)
  await symlink('a.js', join(project, 'lib', 'b.js'))
  const configDir = join(dir, 'config')
  const { fleet } = await createFleet({ configDir })
  const options: BuildOptions = {
    fleet: fleet.root.fleet,
    signer: await openSigner({ configDir }),
    cacheDir: join(dir, 'cache'),
    builder: 'deployctl/test',
  }
  const load = (at: string) => ({
    file: join(at, 'deploy.yaml'),
    dir: at,
    config: parseConfig(yaml(extra), 'x'),
  })
  return { dir, project, fleet, options, build: (at = project) => buildRelease(load(at), options) }
}

t.test('the same input gives the same release in another place', async (t) => {
  const rig = await makeProject()
  const one = await rig.build()
  await cp(rig.project, join(rig.dir, 'elsewhere'), { recursive: true, verbatimSymlinks: true })
  const two = await rig.build(join(rig.dir, 'elsewhere'))
  t.equal(one.digest, two.digest)
  t.same(
    one.manifest.files.map(({ path, mode }) => `${mode} ${path}`),
    ['0644 .deployctl-version', '0644 lib/a.js', '0644 server.js', '0755 start.sh'],
  )
  t.same(one.manifest.links, [{ path: 'lib/b.js', target: 'a.js' }])
  t.same(one.manifest.emptyDirs, ['lib/empty'])
  t.match(one.manifest.version, /^0\.0\.0\+[0-9a-f]{8}$/)
})

t.test('the version comes from git, and says when files differ from the commit', async (t) => {
  const rig = await makeProject()
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', rig.project, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args])
  git('init', '-q')
  await writeFile(join(rig.project, '.gitignore'), '.env\n')
  git('add', '-A')
  git('commit', '-qm', 'one')
  git('tag', 'v1.0')
  const clean = await rig.build()
  t.equal(clean.manifest.version, 'v1.0')
  t.equal(clean.manifest.provenance.dirty, false)
  t.not(clean.manifest.provenance.commit, null)
  await writeFile(join(rig.project, 'server.js'), 'console.log(2)\n')
  const dirty = await rig.build()
  t.match(dirty.manifest.version, /^v1\.0-dirty\+[0-9a-f]{8}$/)
  t.equal(dirty.manifest.provenance.dirty, true)
})

t.test('a changed file is seen although its size and modification time are the same', async (t) => {
  const rig = await makeProject()
  const file = join(rig.project, 'server.js')
  const old = new Date(Date.now() - 60_000)
  await utimes(file, old, old)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const one = await rig.build()
  const { mtime } = await stat(file)
  await writeFile(file, 'console.log(9)\n')
  await utimes(file, mtime, mtime)
  t.not((await rig.build()).digest, one.digest)
})

t.test('an unchanged tree is not read again', async (t) => {
  const rig = await makeProject()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const one = await rig.build()
  await new Promise((resolve) => setTimeout(resolve, 10))
  // A file that cannot be read shows that nobody tries; root could, so its content is swapped in the cache.
  const [scan] = await import('node:fs/promises').then((fs) => fs.readdir(join(rig.dir, 'cache', 'scans')))
  const cacheFile = join(rig.dir, 'cache', 'scans', scan ?? '')
  const digest = one.manifest.files.find(({ path }) => path === 'server.js')?.sha256 ?? ''
  await writeFile(cacheFile, (await readFile(cacheFile, 'utf8')).replace(digest, 'f'.repeat(64)))
  const two = await rig.build()
  t.equal(two.manifest.files.find(({ path }) => path === 'server.js')?.sha256, 'f'.repeat(64))
  await writeFile(cacheFile, '{ damaged')
  t.equal((await rig.build()).digest, one.digest)
})

t.test('what cannot be deployed is named', async (t) => {
  const rig = await makeProject()
  const odd = join(rig.dir, 'odd')
  await mkdir(odd)
  t.throws(() => listFiles(odd), { code: 'E_BUILD_EMPTY' })
  t.throws(() => listFiles(join(odd, 'nowhere')), { code: 'E_BUILD_OUTPUT_MISSING' })
  await writeFile(join(odd, 'suid'), '')
  await chmod(join(odd, 'suid'), 0o4755)
  t.throws(() => listFiles(odd), { code: 'E_BUILD_FILE', message: /setuid/ })
  await chmod(join(odd, 'suid'), 0o755)
  execFileSync('mkfifo', [join(odd, 'pipe')])
  t.throws(() => listFiles(odd), { code: 'E_BUILD_FILE', message: /neither a file/ })
  t.same(
    listFiles(odd, [], ['pipe']).files.map(({ path }) => path),
    ['suid'],
  )
  await symlink('/etc/passwd', join(rig.project, 'leak'))
  await t.rejects(rig.build(), { code: 'E_PATH_UNSAFE' })
})

t.test('patterns choose what is in the release', async (t) => {
  const rig = await makeProject()
  const paths = (include: string[], exclude: string[]) =>
    listFiles(rig.project, include, exclude).files.map(({ path }) => path)
  t.same(paths(['*.js'], []), ['lib/a.js', 'server.js'])
  t.same(paths([], ['/lib', '*.sh']), ['server.js'])
  t.same(paths(['/.env'], ['!.env']), ['.env'])
})

t.test('a large tree is hashed in threads with the same result', async (t) => {
  const rig = await makeProject()
  for (let index = 0; index < 12; index++)
    await writeFile(join(rig.project, `big${index}`), Buffer.alloc(1024 * 1024, index))
  const { createHash } = await import('node:crypto')
  const { manifest } = await rig.build()
  const expected = createHash('sha256')
    .update(Buffer.alloc(1024 * 1024, 7))
    .digest('hex')
  t.equal(manifest.files.find(({ path }) => path === 'big7')?.sha256, expected)
})

t.test('a failing build says how it ended and makes nothing', async (t) => {
  const rig = await makeProject('build: { command: [sh, -c, "echo no; exit 3"] }\n')
  await t.rejects(rig.build(), { code: 'E_BUILD_FAILED', message: /ended with 3/ })
})

t.test('a saved release is checked to the last byte, and ssh-keygen agrees', async (t) => {
  const rig = await makeProject()
  const release = await rig.build()
  const out = join(rig.dir, 'saved')
  await saveRelease(release, out)
  const { root } = openFleet(join(rig.dir, 'config'))
  const opened = await openSaved(out, root)
  t.equal(opened.digest, release.digest)
  t.equal((await readSavedContent(out, opened, true)).size, release.contents.size)
  await t.test('ssh-keygen', { skip: hasSshKeygen() ? false : 'ssh-keygen is not installed' }, async (t) => {
    const allowed = join(rig.dir, 'allowed')
    await writeFile(allowed, `me ${root.keys[0]?.key}\n`)
    const verdict = execFileSync(
      'ssh-keygen',
      [
        '-Y',
        'verify',
        '-f',
        allowed,
        '-I',
        'me',
        '-n',
        'deployctl-release-v1',
        '-s',
        join(out, 'release.json.sig'),
      ],
      { input: await readFile(join(out, 'release.json')) },
    )
    t.match(verdict.toString(), /Good "deployctl-release-v1" signature/)
  })
  const pack = await readFile(join(out, 'content.pack'))
  await writeFile(join(out, 'content.pack'), pack.subarray(0, pack.length - 20))
  await t.rejects(readSavedContent(out, opened, false), { code: 'E_PACK_FORMAT' })
  const manifest = await readFile(join(out, 'release.json'), 'utf8')
  await writeFile(join(out, 'release.json'), manifest.replace('server.js', 'servex.js'))
  await t.rejects(openSaved(out, root), { code: 'E_SIGNATURE_INVALID' })
  await t.rejects(openSaved(rig.dir, root), { code: 'E_SAVED_RELEASE' })
})

function hasSshKeygen(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v ssh-keygen'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
