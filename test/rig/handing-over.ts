import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { compileLibrary } from '../../controller/release/library.ts'
import { makeRig, type Rig } from './rig.ts'

const at = (path: string) => new URL(`../../${path}`, import.meta.url).pathname

const sockets = (before: string) =>
  before.replace(/(sockets: \[\{[^}]*\})\]/, '$1, { name: deployctl, private: true }]')

/** Makes a project one whose service has the library and answers in all ways. */
export async function useFullService(project: string): Promise<void> {
  copyFileSync(at('test/fixtures/full-service.js'), join(project, 'server.mjs'))
  await useLibrary(project)
}

export function addControlSocket(project: string): void {
  const file = join(project, 'deploy.yaml')
  writeFileSync(file, sockets(readFileSync(file, 'utf8')))
}

/** Brings the library to a project, and the socket over which it is asked. */
export async function useLibrary(project: string): Promise<void> {
  addControlSocket(project)
  await writeLibrary(join(project, 'library'))
}

async function writeLibrary(dir: string): Promise<void> {
  mkdirSync(dir, { recursive: true })
  for (const { path, bytes } of await compileLibrary(at('service')))
    writeFileSync(join(dir, basename(path)), bytes)
}

/** The library as a package that npm installs. */
export async function makeLibraryPackage(dir: string): Promise<void> {
  await writeLibrary(join(dir, 'dist'))
  copyFileSync(at('service/package.json'), join(dir, 'package.json'))
}

/** A host whose service has the library and can be probed before it takes traffic; v1 runs. */
export async function handingOverRig(t: Test, stop = '{ seconds: 4, longConnections: close }'): Promise<Rig> {
  const rig = await makeRig(t)
  await useFullService(rig.project)
  const file = join(rig.project, 'deploy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('health:', `  stop: ${stop}\nhealth:`))
  t.equal((await rig.cli('push')).code, 0)
  return rig
}
