import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { chmod, copyFile, cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, sep } from 'node:path'
import { create } from 'tar'
import { DeployError } from '../../shared/errors.ts'
import { version } from '../../shared/version.ts'
import { run } from '../process.ts'
import { nodeBinary, type Arch } from './node-binary.ts'

/** All that an agent needs: Node, the bundle, and the packages that are not in the bundle. */
export type AgentPackage = {
  /** `VERSION-DIGEST`: the directory's name on the host. */
  id: string
  /** A gzipped tar of that directory's content. */
  archive: string
  bytes: number
}

/** Packages that the bundle leaves outside. */
const unbundled = ['fastify', 'better-sqlite3']
const idDigits = 12

/**
 * The agent for hosts of one architecture, made once and kept.
 * @throws DeployError E_RUNTIME
 */
export async function agentPackage(arch: Arch, cacheDir: string): Promise<AgentPackage> {
  const dir = join(cacheDir, 'agent')
  const tree = join(dir, `tree-${process.pid}`)
  await rm(tree, { recursive: true, force: true })
  await mkdir(tree, { recursive: true })
  try {
    await agentTree(arch, tree, cacheDir)
    const id = `${version}-${await treeDigest(tree)}`
    const archive = join(dir, `${id}-${arch}.tar.gz`)
    if (!existsSync(archive)) {
      // Two at once make the same, each under a name of its own until it is whole.
      const fresh = `${archive}.${process.pid}`
      await create({ gzip: true, portable: true, cwd: tree, file: fresh }, ['.'])
      await rename(fresh, archive)
    }
    return { id, archive, bytes: (await stat(archive)).size }
  } finally {
    await rm(tree, { recursive: true, force: true })
  }
}

/** Writes the agent's files into an empty directory. */
export async function agentTree(arch: Arch, tree: string, cacheDir: string): Promise<void> {
  const root = packageRoot()
  await mkdir(join(tree, 'bin'), { recursive: true })
  await copyFile(await nodeBinary(arch, cacheDir), join(tree, 'bin/node'))
  await chmod(join(tree, 'bin/node'), 0o755)
  await bundle(arch, root, join(tree, 'dist'))
  await cp(join(root, 'systemd'), join(tree, 'systemd'), { recursive: true })
  await copyFile(join(root, 'LICENSE'), join(tree, 'LICENSE'))
  await writeFile(
    join(tree, 'package.json'),
    `${JSON.stringify({ name: 'deployctl', version, type: 'module' })}\n`,
  )
  for (const dir of closureOf(unbundled)) await copyPackage(dir, join(tree, nodeModulesPath(root, dir)), arch)
}

const packageRoot = (): string =>
  ['..', '../..']
    .map((path) => join(import.meta.dirname, path))
    .find((place) => existsSync(join(place, 'systemd/look.sh'))) ?? ''

/** The bundle that was published; that of a clone is made anew. */
async function bundle(arch: Arch, root: string, to: string): Promise<void> {
  const script = join(root, 'scripts/build.ts')
  if (!existsSync(script) || root.split(sep).includes('node_modules'))
    return cp(join(root, 'dist'), to, { recursive: true })
  const { status, stderr } = await run([process.execPath, script, to], { cwd: root })
  if (status !== 0) throw new DeployError('E_RUNTIME', { arch, why: `the bundle: ${stderr.trim()}` })
}

/** Directories of these packages and of all that they depend on. */
function closureOf(names: readonly string[]): string[] {
  const found = new Set<string>()
  const visit = (name: string, from: string) => {
    const dir = directoryOf(name, from)
    if (dir === null || found.has(dir)) return
    found.add(dir)
    const { dependencies = {} } = createRequire(join(dir, 'x.js'))('./package.json') as {
      dependencies?: Record<string, string>
    }
    // Native addons of these come ready made.
    for (const one of Object.keys(dependencies)) if (!buildTools.has(one)) visit(one, dir)
  }
  for (const name of names) visit(name, import.meta.dirname)
  return [...found].sort()
}

const buildTools = new Set(['prebuild-install', 'node-gyp', 'bindings', 'node-addon-api'])

/** As Node looks for a package, but for its directory: not every package lets its package.json be required. */
function directoryOf(name: string, from: string): string | null {
  for (let at = from; ; at = dirname(at)) {
    const dir = join(at, 'node_modules', name)
    if (existsSync(join(dir, 'package.json'))) return dir
    if (at === dirname(at)) return null
  }
}

/**
 * Where a package goes in the agent's tree: as it stands below ours, or beside it where a package manager
 * has put all of them side by side.
 */
function nodeModulesPath(root: string, dir: string): string {
  const below = relative(join(root, 'node_modules'), dir)
  if (!below.startsWith('..')) return join('node_modules', below)
  const beside = relative(root.slice(0, root.lastIndexOf(`${sep}node_modules${sep}`)), dir)
  return beside.startsWith('..') ? join('node_modules', basename(dir)) : beside
}

async function copyPackage(from: string, to: string, arch: Arch): Promise<void> {
  await cp(from, to, {
    recursive: true,
    filter: (source) => {
      const path = source.slice(from.length + 1).split(sep)
      if (
        path[0] === 'node_modules' ||
        /^(tests?|docs|benchmarks?|examples?|\.github|deps|src)$/.test(path[0] ?? '')
      )
        return path[0] === ''
      if (/\.(md|map|d\.ts|d\.mts|tsbuildinfo)$/.test(source)) return false
      return path[0] !== 'prebuilds' || path.length === 1 || path[1] === `linux-${arch}.node`
    },
  })
}

/** The same content gives the same digest on any machine. */
async function treeDigest(tree: string): Promise<string> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const sum = createHash('sha256')
  for (const file of files.sort()) {
    const own = createHash('sha256')
    for await (const chunk of createReadStream(file)) own.update(chunk as Buffer)
    const mode = (await stat(file)).mode & 0o111 ? 'x' : '-'
    sum.update(`${file.slice(tree.length)}\n${mode}\n${own.digest('hex')}\n`)
  }
  return sum.digest('hex').slice(0, idDigits)
}

/** The archive's content, to be sent. */
export const readArchive = ({ archive }: AgentPackage): Promise<Buffer> => readFile(archive)
