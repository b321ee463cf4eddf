import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { extract } from 'tar'
import { DeployError } from '../../shared/errors.ts'
import { run } from '../process.ts'
import known from './node-binaries.json' with { type: 'json' }

export type Arch = 'x64' | 'arm64'

/**
 * Node for a Linux host: the one that runs here, or the registry's package for another machine, whose
 * digest is written down beside this file.
 * @returns the file's path
 * @throws DeployError E_RUNTIME
 */
export async function nodeBinary(arch: Arch, cacheDir: string): Promise<string> {
  if (process.platform === 'linux' && process.arch === arch) return ownNode()
  const file = join(cacheDir, 'node', `${known.version}-linux-${arch}`)
  if (!existsSync(file)) await fetchNode(arch, file)
  return file
}

/** The package `node` rather than what runs this, which may be linked to libraries of its system. */
function ownNode(): string {
  const installed = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node')
  return existsSync(installed) ? installed : process.execPath
}

async function fetchNode(arch: Arch, file: string): Promise<void> {
  const refuse = (why: string) => new DeployError('E_RUNTIME', { arch, why })
  const dir = `${file}.${process.pid}`
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true })
  const name = `node-linux-${arch}@${known.version}`
  const { status, stdout, stderr } = await run(['npm', 'pack', '--silent', '--pack-destination', dir, name])
  if (status !== 0) throw refuse(stderr.trim().split('\n').at(-1) || `npm could not fetch ${name}`)
  const archive = join(dir, stdout.trim().split('\n').at(-1) ?? '')
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')
  if (`sha512-${digest}` !== known.integrity[arch])
    throw refuse(`${name} is not the package it was: its digest differs from the one written down`)
  await extract({ file: archive, cwd: dir, strip: 1 })
  await rename(join(dir, 'bin/node'), file)
  await rm(dir, { recursive: true })
}
