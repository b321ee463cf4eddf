import { readFileSync, readlinkSync } from 'node:fs'

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstFd = 3

/** The private socket over which the agent speaks with this library. */
export const controlName = 'deployctl'

/**
 * The listening sockets that were passed to this process, by name. Children inherit the variables but not
 * the sockets, which is why LISTEN_PID says whose they are.
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid: number): Map<string, number> {
  if (env['LISTEN_PID'] !== String(pid)) return new Map()
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':')
  const count = Number(env['LISTEN_FDS'] ?? 0)
  return new Map(Array.from({ length: count }, (_, n) => [names[n] || `socket${n}`, firstFd + n]))
}

/** TCP port of a listening socket by its file descriptor; null for one that has none. Linux only. */
export function portOf(fd: number): number | null {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  for (const table of ['tcp', 'tcp6']) {
    const lines = readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n').slice(1)
    for (const line of lines) {
      // sl local_address rem_address st queues timers retrnsmt uid timeout inode: proc(5)
      const fields = line.trim().split(/\s+/)
      if (fields[9] === inode) return Number.parseInt(fields[1]?.split(':').at(-1) ?? '', 16)
    }
  }
  return null
}
