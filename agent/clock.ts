import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

/** Time that does not jump: a deadline must survive a clock that is set, and end with the boot. */
export type Clock = { bootId: string; uptimeMs(): number; now(): string }

export const systemClock: Clock = {
  bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  uptimeMs: () => uptime() * 1000,
  now: () => new Date().toISOString(),
}
