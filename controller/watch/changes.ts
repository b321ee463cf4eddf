import { relative } from 'node:path'
import { watch } from 'chokidar'
import ignore from 'ignore'
import { alwaysExcluded } from '../release/list-files.ts'

/** A save is often several writes; what comes within this time is one. */
const quietMs = 10

/** Files that were saved, and when the first of them was: milliseconds of the monotonic clock. */
export type Saved = { paths: string[]; atMs: number }

export type ChangeOptions = {
  dir: string
  /** What is never looked at, as .gitignore says it: what the build makes, above all. */
  exclude: readonly string[]
}

/** Tells of saved files, one burst at a time: what comes while a burst is dealt with is the next one. */
export class Changes implements AsyncDisposable {
  readonly #watcher: ReturnType<typeof watch>
  readonly #ready: Promise<void>
  #pending = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #wake: (() => void) | null = null

  constructor({ dir, exclude }: ChangeOptions) {
    const ignored = ignore().add([...alwaysExcluded, 'node_modules/.cache/', ...exclude])
    this.#watcher = watch(dir, {
      ignoreInitial: true,
      ignored: (path, stats) => {
        const name = relative(dir, path)
        return name !== '' && ignored.ignores(stats?.isDirectory() ? `${name}/` : name)
      },
    })
    this.#ready = new Promise((resolve) => this.#watcher.once('ready', () => resolve()))
    this.#watcher.on('all', (event, path) => {
      if (event === 'addDir') return
      const name = relative(dir, path)
      this.#pending.set(name, this.#pending.get(name) ?? performance.now())
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#wake?.(), quietMs)
    })
  }

  /** When it has begun to look. */
  ready(): Promise<void> {
    return this.#ready
  }

  /** The next burst; null when `signal` says that there is none any more. */
  async next(signal: AbortSignal): Promise<Saved | null> {
    while (this.#pending.size === 0 && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    this.#wake = null
    if (signal.aborted) return null
    const saved = { paths: [...this.#pending.keys()], atMs: Math.min(...this.#pending.values()) }
    this.#pending = new Map()
    return saved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#watcher.close()
  }
}
