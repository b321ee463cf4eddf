import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Boundary, contextOf, type BoundaryModule, type HotContext } from './boundary.ts'
import { Generation } from './generation.ts'
import { Guard, defaultLimits } from './guard.ts'
import { NativeModules } from './native-modules.ts'
import { Pins } from './pins.ts'
import { own } from './process.ts'
import { Resources } from './resources.ts'
import { followSourceMaps } from './source-maps.ts'
import { versionOf } from './migrate.ts'
import { Swap } from './swap.ts'

export type HotOptions = {
  /** Modules that are exchanged with all that they import, as relative paths that are written out. */
  boundaries: string[]
  /** `import.meta.url` where the paths count from this file; from the program's main file otherwise. */
  from?: string
  /** How long calls under way may take before a state is moved, in seconds (2). */
  drainSeconds?: number
  /** How long it may take to load new code, or to move a state, in seconds (10). */
  stepSeconds?: number
  /** By how much the process may grow meanwhile, in megabytes (256). */
  growMegabytes?: number
}

type StateOf<M> = M extends { init: (...args: never[]) => infer S } ? Awaited<S> : undefined

/** Leads to the code of now; what is called through it is never of two releases. */
export type Handle<M> = {
  /** Calls into the module; while its state is moved, the call waits. */
  call<R>(use: (module: M, state: StateOf<M>, context: HotContext) => R): R | Promise<Awaited<R>>
}
export type Hot = {
  /** @param boundary as it was named to `createHot` */
  handle<M = Record<string, never>>(boundary: string): Handle<M>
}

/** What deployctl's agent tells the process of its release. */
const releaseVariable = 'DEPLOYCTL_RELEASE'
const second = 1000
const megabyte = 1024 * 1024

/**
 * Loads the boundaries, and lets a release of them take the place of another while the program runs. Where
 * deployctl has not prepared them, as on a laptop, they are loaded by Node, and stay.
 * @throws Error for a path that is none, or when it is called twice
 */
export async function createHot(options: HotOptions): Promise<Hot> {
  const self = own()
  if (self.isHot) throw new Error('deployctl: createHot() was called before in this process')
  self.isHot = true
  const main = options.from === undefined ? (process.argv[1] ?? '.') : fileURLToPath(options.from)
  const dir = dirname(realpathSync(main))
  const root = realpathSync(process.cwd())
  const paths = new Map(options.boundaries.map((name) => [name, relative(root, resolve(dir, name))]))
  const isPrepared = [...paths.values()].every((path) => existsSync(join(root, '.deployctl/hot', path)))
  const resources = new Resources()
  const pins = new Pins()
  const native = new NativeModules(root)
  const release = process.env[releaseVariable] ?? ''
  const onLoaded = pins.add.bind(pins)
  const first = new Generation({ number: 0, release, root, native, onLoaded })
  if (isPrepared) {
    followSourceMaps()
    await first.load([...paths.values()], (work) => work())
  }
  const boundaries = new Map<string, Boundary>()
  for (const path of paths.values()) {
    const loaded = first.modules.get(path)?.namespace
    const module = (loaded ?? (await import(pathToFileURL(join(root, path)).href))) as BoundaryModule
    const state = await module.init?.(contextOf(path, resources))
    const held = { module, state, version: versionOf(module) }
    boundaries.set(path, new Boundary(path, held, resources, paths.size > 1))
  }
  if (isPrepared) {
    const guard = new Guard({
      ...defaultLimits,
      ...(options.stepSeconds !== undefined && { stepMs: options.stepSeconds * second }),
      ...(options.growMegabytes !== undefined && { growBytes: options.growMegabytes * megabyte }),
    })
    const drainMs = (options.drainSeconds ?? 2) * second
    self.guard = guard
    self.swap = new Swap({ native, guard, resources, boundaries, first, pins, drainMs })
  }
  return {
    handle<M>(name: string): Handle<M> {
      const boundary = boundaries.get(paths.get(name) ?? '')
      if (!boundary)
        throw new Error(`deployctl: ${name} is none of the boundaries: ${options.boundaries.join(', ')}`)
      return { call: (use) => boundary.call(use) as never }
    },
  }
}
