import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parserOf } from '../../../shared/schema.ts'
import { replaceFile } from '../../../shared/durable.ts'
import { InstanceSpec, type Slot } from '../manager.ts'
import { startScript } from './start-script.ts'

/** Units pass through, nobody looks in. */
const passable = 0o711
const specParser = parserOf(InstanceSpec)

/**
 * What the units read: `slots/SERVICE/a/start` and `…/b/start`, and `slots/SERVICE/committed`, the slot
 * that comes up at boot. A slot says what runs in it: it is written while nothing does, or when a running
 * program has become another release.
 */
export class Slots {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = join(dir, 'slots')
    mkdirSync(this.#dir, { recursive: true, mode: passable })
  }

  #file(service: string, ...path: string[]): string {
    return join(this.#dir, service, ...path)
  }

  /** @param isHeld it takes no traffic until `let` */
  put(spec: InstanceSpec, isHeld: boolean): void {
    const { service, slot } = spec
    if (isHeld) replaceFile(this.#file(service, slot, 'hold'), '', 0o644, passable)
    else this.let(service, slot)
    replaceFile(this.#file(service, slot, 'spec.json'), JSON.stringify(spec), 0o600, passable)
    replaceFile(this.#file(service, slot, 'start'), startScript(spec), 0o644, passable)
  }

  let(service: string, slot: Slot): void {
    rmSync(this.#file(service, slot, 'hold'), { force: true })
  }

  /** What was put there last; null when nothing was. */
  get(service: string, slot: Slot): InstanceSpec | null {
    const file = this.#file(service, slot, 'spec.json')
    if (!existsSync(file)) return null
    const spec: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return specParser.check(spec) ? spec : null
  }

  putProbe(spec: InstanceSpec, number: number, argv: readonly string[]): void {
    // It has none of the sockets, and must not think so.
    replaceFile(
      this.#file(spec.service, 'probes', String(number)),
      startScript({ ...spec, sockets: [] }, argv),
      0o644,
      passable,
    )
  }

  settle(service: string, slot: Slot | null): void {
    const file = this.#file(service, 'committed')
    if (slot === null) return rmSync(file, { force: true })
    if (existsSync(file) && readFileSync(file, 'utf8').trim() === slot) return
    replaceFile(file, `${slot}\n`, 0o644, passable)
  }
}
