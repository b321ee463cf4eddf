import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sortBytewise } from '../../shared/documents/bytewise.ts'
import { encodeDocument, sha256Hex } from '../../shared/documents/document.ts'
import { checkManifestPaths } from '../../shared/documents/path-rules.ts'
import { DeployError } from '../../shared/errors.ts'
import type { FileEntry, Manifest, Provenance } from '../../shared/formats/manifest.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'
import type { Project } from '../config/load.ts'
import { HotFilesMaker, type HotFile } from './hot-files.ts'
import { libraryFiles } from './library.ts'
import { Scanner, type Scanned } from './scan.ts'
import { gitFacts, packageVersion, versionOf, type GitFacts } from './version.ts'

/** Where the content behind a digest is: a file's path, or the bytes themselves. */
export type Content = { file: string; size: number } | { bytes: Buffer; size: number }

export type Release = {
  manifest: Manifest
  /** The exact bytes that are signed, and their sha256: the release's name. */
  bytes: Buffer
  digest: string
  signatures: string[]
  /** By sha256. */
  contents: ReadonlyMap<string, Content>
  /** Why its code cannot be exchanged while it runs, although it was made for that. */
  notHot?: string | null
}

export type BuildOptions = {
  fleet: string
  signer: Signer
  cacheDir: string
  /** Of somebody who builds again and again; else one is made for the occasion. */
  scanner?: Scanner
  hotFiles?: HotFilesMaker
  /** Goes into the provenance, as `deployctl/0.1.0`. */
  builder: string
  /** Instead of git's. */
  version?: string
  /** What somebody else says of the build. */
  statement?: Provenance['statement']
  onOutput?: (text: string) => void
}

/** The file of a release that holds its version. */
export const versionFile = '.deployctl-version'
/** Without a commit there is no time that is the same on every machine. */
const noTime = '1970-01-01T00:00:00.000Z'
const lockfiles = [
  'package-lock.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'mix.lock',
  'requirements.txt',
  'go.sum',
]

/**
 * Runs the build command, then makes and signs the release.
 * @throws DeployError E_BUILD_FAILED, E_BUILD_OUTPUT_MISSING, E_BUILD_EMPTY, E_BUILD_FILE,
 *   E_BUILD_MODULE, E_BUILD_CHANGED, E_PATH_UNSAFE, E_RELEASE_TOO_LARGE, and those of the signer
 */
export async function buildRelease(project: Project, options: BuildOptions): Promise<Release> {
  const { config, dir } = project
  const command = config.build?.command
  if (command) await runBuild(command, dir, options.onOutput ?? (() => {}))
  const root = join(dir, config.build?.output ?? '.')
  const facts = gitFacts(dir)
  const { include = [], exclude = [] } = config.build ?? {}
  const scanner = options.scanner ?? new Scanner(options.cacheDir)
  try {
    const scanned = await scanner.scan({ root, include, exclude })
    return await assemble(project, root, scanned, await facts, options)
  } finally {
    if (!options.scanner) await scanner.close()
  }
}

async function assemble(
  { config, dir }: Project,
  root: string,
  { files, links, emptyDirs }: Scanned,
  facts: GitFacts,
  { fleet, signer, builder, version: given, statement, cacheDir, hotFiles }: BuildOptions,
): Promise<Release> {
  const library = config.run.adopt === true ? (await libraryFiles()).map(ownFile) : []
  const maker = hotFiles ?? new HotFilesMaker(cacheDir)
  const hot = await maker.make({ service: config.service, argv: config.run.argv, root, files })
  // Nobody waits for it: what is not kept is only made again.
  if (!hotFiles) void maker.save().catch(() => {})
  const own = [...library, ...hot.files]
  const entries = [
    ...files.map(({ path, mode, size, sha256 }) => ({ mode, path, sha256, size })),
    ...own.map(entryOf),
  ]
  const content = contentDigest(entries, { links, emptyDirs })
  const version = given ?? versionOf(facts, content, await packageVersion(dir))
  const versioned = ownFile({ path: versionFile, bytes: Buffer.from(`${version}\n`) })
  const manifest: Manifest = {
    spec: 'deployctl/release/v1',
    fleet,
    service: config.service,
    version,
    created: facts?.committedAt ?? noTime,
    files: sortBytewise([...entries, entryOf(versioned)], ({ path }) => path),
    links,
    emptyDirs,
    run: config.run,
    health: config.health ?? {},
    ...(config.hooks && { hooks: config.hooks }),
    activation: config.activation ?? {},
    ...(config.hooks && { hooks: config.hooks }),
    ...(hot.graph && { hot: hot.graph }),
    minimumAgent: 1,
    provenance: {
      commit: facts?.commit ?? null,
      dirty: facts?.dirty ?? false,
      builder,
      lockfile: await lockfileDigest(dir),
      ...(statement && { statement }),
    },
  }
  checkManifestPaths(manifest)
  const bytes = encodeDocument(manifest)
  const contents = new Map<string, Content>(
    files.map(({ path, sha256, size }) => [sha256, { file: `${root}/${path}`, size }]),
  )
  for (const { sha256, bytes } of [versioned, ...own]) contents.set(sha256, { bytes, size: bytes.length })
  const signatures = [await signer.sign(namespaces.release, bytes)]
  return { manifest, bytes, digest: sha256Hex(bytes), signatures, contents, notHot: hot.problem }
}

/** A file that is not the project's. */
const ownFile = ({ path, bytes }: { path: string; bytes: Buffer }): HotFile => ({
  path,
  bytes,
  sha256: sha256Hex(bytes),
})

const entryOf = ({ path, bytes, sha256 }: HotFile): FileEntry => ({
  path,
  mode: '0644',
  size: bytes.length,
  sha256,
})

/** What a version is made of where there is no git. */
function contentDigest(entries: readonly FileEntry[], rest: Pick<Manifest, 'links' | 'emptyDirs'>): string {
  const lines = entries.map(({ mode, path, sha256 }) => `${sha256} ${mode} ${JSON.stringify(path)}`)
  return sha256Hex(`${lines.join('\n')}\n${JSON.stringify(rest)}`)
}

async function lockfileDigest(dir: string): Promise<string | null> {
  for (const name of lockfiles) {
    const bytes = await readFile(join(dir, name)).catch(() => null)
    if (bytes) return sha256Hex(bytes)
  }
  return null
}

async function runBuild(command: readonly string[], cwd: string, onOutput: (text: string) => void) {
  const [program = '', ...args] = command
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', onOutput)
  const status = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(signal ?? String(code)))
  })
  if (status !== '0') throw new DeployError('E_BUILD_FAILED', { command: command.join(' '), status })
}
