import { serviceDefaults } from '../../../shared/formats/service-spec.ts'
import { privateSocket, type SocketSpec } from '../../../shared/formats/sockets.ts'
import { shellWord } from '../../../shared/shell-word.ts'
import type { InstanceSpec } from '../manager.ts'

/** What systemd sets by itself: here a release's own value wins. */
const setBySystemd = new Set(['PATH', 'HOME', 'LANG', 'USER', 'LOGNAME', 'SHELL', 'STATE_DIRECTORY'])
const configurationError = 78
/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstFd = 3

/**
 * The shell script that a slot's unit runs. The unit itself is root's and always the same; which release
 * it runs stands here. Values that the host has in its own file, which systemd read before, win.
 */
export function startScript(spec: InstanceSpec, argv: readonly string[] = spec.argv): string {
  const { service, slot, release, cwd, env, needs, sockets, stop } = spec
  const own = {
    DEPLOYCTL_SERVICE: service,
    DEPLOYCTL_SLOT: slot,
    DEPLOYCTL_RELEASE: release,
    DEPLOYCTL_STOP_SECONDS: String(stop.seconds),
    DEPLOYCTL_LONG_CONNECTIONS: stop.longConnections ?? serviceDefaults.longConnections,
  }
  const values = [
    ...Object.entries(env).map(([name, value]) =>
      setBySystemd.has(name)
        ? `export ${name}=${shellWord(value)}`
        : `[ "\${${name}+set}" ] || export ${name}=${shellWord(value)}`,
    ),
    ...Object.entries(own).map(([name, value]) => `export ${name}=${shellWord(value)}`),
  ]
  const missing = needs.map((name) => {
    const text = `deployctl: ${name} has no value: give it one in deploy.yaml or in /etc/deployctl/services/${service}.env`
    return `[ "\${${name}+set}" ] || { echo ${shellWord(text)} >&2; exit ${configurationError}; }`
  })
  return [
    '#!/bin/sh',
    '# Written by the deployctl agent: what this slot runs.',
    `cd ${shellWord(cwd)} || exit ${configurationError}`,
    ...values,
    ...missing,
    ...(sockets.length > 0 ? [`[ -z "$LISTEN_FDS" ] || { ${listening(slot, sockets).join('; ')}; }`] : []),
    '[ ! -e "${0%/*}/hold" ] || export DEPLOYCTL_HOLD=1',
    `exec ${argv.map(shellWord).join(' ')}`,
    '',
  ].join('\n')
}

/**
 * All listen in one unit, which keeps their order but gives them one name. The private ones of both slots
 * come last: ours moves to the first of the two places, and the other's is closed.
 */
function listening(slot: InstanceSpec['slot'], sockets: readonly SocketSpec[]): string[] {
  const names = `export LISTEN_FDNAMES=${shellWord(sockets.map(({ name }) => name).join(':'))}`
  if (!privateSocket(sockets)) return [names]
  const place = firstFd + sockets.length - 1
  const move = slot === 'b' ? [`exec ${place}<&${place + 1}`] : []
  return [names, ...move, `exec ${place + 1}<&-`, `export LISTEN_FDS=${sockets.length}`]
}
