import { shellWord } from '../../../shared/shell-word.ts'
import type { InstanceSpec } from '../manager.ts'

/** What systemd sets by itself: here a release's own value wins. */
const setBySystemd = new Set(['PATH', 'HOME', 'LANG', 'USER', 'LOGNAME', 'SHELL', 'STATE_DIRECTORY'])
const configurationError = 78

/**
 * The shell script that a slot's unit runs. The unit itself is root's and always the same; which release
 * it runs stands here. Values that the host has in its own file, which systemd read before, win.
 */
export function startScript(spec: InstanceSpec, argv: readonly string[] = spec.argv): string {
  const { service, slot, release, cwd, env, needs, sockets } = spec
  const own = { DEPLOYCTL_SERVICE: service, DEPLOYCTL_SLOT: slot, DEPLOYCTL_RELEASE: release }
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
  // All listen in one unit, which keeps their order but gives them one name.
  const names = shellWord(sockets.map(({ name }) => name).join(':'))
  const listening = sockets.length > 0 ? [`[ -z "$LISTEN_FDS" ] || export LISTEN_FDNAMES=${names}`] : []
  return [
    '#!/bin/sh',
    '# Written by the deployctl agent: what this slot runs.',
    `cd ${shellWord(cwd)} || exit ${configurationError}`,
    ...values,
    ...missing,
    ...listening,
    `exec ${argv.map(shellWord).join(' ')}`,
    '',
  ].join('\n')
}
