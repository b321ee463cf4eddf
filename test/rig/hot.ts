import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { useLibrary } from './handing-over.ts'
import { makeRig, type Ran, type Rig } from './rig.ts'

const fixture = new URL('../fixtures/hot-service/', import.meta.url).pathname

export type HotRig = Rig & {
  /** Another release: only the module that says its name differs, and what `change` makes of `app.mjs`. */
  code(release: string, change?: (app: string) => string): void
  /** Changes the code and pushes it. */
  swap(release: string, change?: (app: string) => string): Promise<Ran>
  /** What the service says of itself. */
  own(): Promise<{ requests: number; ticks: number; began: number; release: string; pid: number }>
  url(): Promise<string>
}

/** A host whose service can exchange its code; `v1` runs. */
export async function hotRig(t: Test): Promise<HotRig> {
  const rig = await makeRig(t)
  const { project } = rig
  for (const name of ['server.mjs', 'version.txt']) rmSync(join(project, name))
  await useLibrary(project)
  const yaml = join(project, 'deploy.yaml')
  writeFileSync(
    yaml,
    readFileSync(yaml, 'utf8').replace('server.mjs', 'main.mjs').replace('minHealthySeconds: 0.1', ''),
  )
  copyFileSync(join(fixture, 'main.mjs'), join(project, 'main.mjs'))
  const url = async () => `http://${(await rig.state('web1')).addresses['http']}/`
  const code = (release: string, change = (app: string) => app) => {
    writeFileSync(join(project, 'app.mjs'), change(readFileSync(join(fixture, 'app.mjs'), 'utf8')))
    writeFileSync(join(project, 'release.mjs'), `export const release = '${release}'\n`)
  }
  code('v1')
  t.equal((await rig.cli('push')).code, 0)
  return Object.assign(rig, {
    code,
    url,
    swap: (release: string, change?: (app: string) => string) => {
      code(release, change)
      return rig.cli('push')
    },
    own: async () =>
      (await (await fetch(`${await url()}state`)).json()) as Awaited<ReturnType<HotRig['own']>>,
  })
}

/** What the service says, and that it is the very process of before. */
export async function isUntouched(
  t: Test,
  rig: HotRig,
  before: Awaited<ReturnType<HotRig['own']>>,
  release: string,
) {
  const after = await rig.own()
  t.match(after, { began: before.began, pid: before.pid, release })
  t.ok(after.ticks >= before.ticks && after.requests > before.requests, 'nothing of its state is lost')
}

/** Adds a line to the boundary. */
export const append = (text: string) => (app: string) => `${app}\n${text}\n`

/** Once it can be had at all. */
export async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 100; ; tries--)
    try {
      return await ask()
    } catch (error) {
      if (tries === 0) throw error
      await delay(50)
    }
}
