import { readFileSync, statfsSync } from 'node:fs'
import { arch, cpus, freemem, loadavg, release, totalmem, uptime } from 'node:os'
import type { HostFacts } from '../shared/wire/api.ts'
import { version } from '../shared/version.ts'

/** What this host is, for whoever looks for the cause of something. @param dir the agent's directory */
export function hostFacts(dir: string, now: string): HostFacts {
  const { blocks, bavail, bsize } = statfsSync(dir)
  return {
    agent: version,
    os: osName(),
    kernel: release(),
    arch: arch(),
    uptimeSeconds: Math.round(uptime()),
    cpus: cpus().length,
    load: loadavg(),
    memory: { total: totalmem(), free: freemem() },
    disk: { total: blocks * bsize, free: bavail * bsize },
    now,
  }
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform
  } catch {
    return process.platform
  }
}
