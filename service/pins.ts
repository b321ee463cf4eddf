import type { HotModule } from './hot-module.ts'

type Life = { release: string; path: string }

/** Code of former releases that something still holds: a timer, a listener, a closure. */
export class Pins {
  readonly #lives = new Map<number, Life>()
  readonly #numbers = new WeakMap<HotModule, number>()
  #next = 0
  readonly #registry = new FinalizationRegistry<number>((number) => this.#lives.delete(number))

  add(module: HotModule): void {
    const number = this.#next++
    this.#numbers.set(module, number)
    this.#lives.set(number, { release: module.generation.release, path: module.path })
    this.#registry.register(module.pin, number)
  }

  /** Modules that are alive and not among these, by the release that they came with. */
  besides(current: Iterable<HotModule>): Map<string, string[]> {
    const own = new Set([...current].map((module) => this.#numbers.get(module)))
    const found = new Map<string, string[]>()
    for (const [number, { release, path }] of this.#lives)
      if (!own.has(number)) found.set(release, [...(found.get(release) ?? []), path])
    return found
  }
}
