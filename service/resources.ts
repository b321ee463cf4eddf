export type ResourceOptions<T> = {
  /** Another version is made anew, and the one before is closed when the release that made it is confirmed. */
  version?: number
  close?: (resource: Awaited<T>) => unknown
}
type Held = { value: unknown; version: number; close: ((resource: never) => unknown) | undefined }

/**
 * What outlives a release: pools, servers of other protocols, caches. Made when it is first asked for, and
 * the same for every release after.
 */
export class Resources {
  readonly #held = new Map<string, Held>()
  /** What the swap under way has put in another's place, or first made: null. */
  readonly #replaced = new Map<string, Held | null>()
  readonly #retired: (Held | null)[] = []

  get<T>(name: string, create: () => T, { version = 1, close }: ResourceOptions<T> = {}): T {
    const known = this.#held.get(name)
    if (known?.version === version) return known.value as T
    const fresh: Held = { value: create(), version, close }
    if (!this.#replaced.has(name)) this.#replaced.set(name, known ?? null)
    this.#held.set(name, fresh)
    if (fresh.value instanceof Promise)
      fresh.value.catch(() => this.#held.get(name) === fresh && this.#held.delete(name))
    return fresh.value as T
  }

  /** From now on what is replaced can be put back; what was replaced before cannot. */
  begin(): void {
    this.#retired.push(...this.#replaced.values())
    this.#replaced.clear()
  }

  /** As it was before the swap. */
  async restore(): Promise<void> {
    const taken = [...this.#replaced].map(([name, before]) => {
      const fresh = this.#held.get(name)
      if (before) this.#held.set(name, before)
      else this.#held.delete(name)
      return fresh
    })
    this.#replaced.clear()
    for (const one of taken) await end(one)
  }

  /** What was replaced is not needed again. */
  async settle(): Promise<void> {
    this.begin()
    for (const one of this.#retired.splice(0)) await end(one)
  }
}

async function end(held: Held | null | undefined) {
  if (!held?.close) return
  await held.close((await held.value) as never)
}
