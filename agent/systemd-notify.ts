import { execFile } from 'node:child_process'

const perWatchdogTime = 3

/**
 * Tells systemd that the agent is ready, and then that it still is, as often as the unit's watchdog wants.
 * Node has no datagram sockets of the Unix kind, so systemd's own small program says it.
 */
export async function tellSystemd(env: NodeJS.ProcessEnv): Promise<void> {
  if (!env['NOTIFY_SOCKET']) return
  await say('--ready', '--status=waiting for orders')
  const watchdogUs = Number(env['WATCHDOG_USEC'] ?? 0)
  if (watchdogUs <= 0) return
  // An event loop that hangs says nothing, and that is the message.
  setInterval(() => void say('WATCHDOG=1'), watchdogUs / 1000 / perWatchdogTime)
}

function say(...args: string[]): Promise<void> {
  return new Promise((resolve) => {
    execFile('systemd-notify', args, (error) => {
      if (error) console.error('systemd-notify:', error.message)
      resolve()
    })
  })
}
