import { spawnSync } from 'node:child_process'

export type Finished = { status: number; output: string }

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A program of the system, to its end, in plain English. */
export function runSystem(
  argv: readonly string[],
  options: { uid?: number; gid?: number; input?: string } = {},
): Finished {
  const [command = '', ...args] = argv
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    ...options,
    env: { PATH: path, LC_ALL: 'C', SYSTEMD_PAGER: '', HOME: '/' },
    encoding: 'utf8',
  })
  return { status: status ?? 1, output: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trim() }
}

/** @throws Error with what the program said */
export function mustRun(argv: readonly string[], options: { uid?: number; gid?: number } = {}): string {
  const { status, output } = runSystem(argv, options)
  if (status !== 0) throw new Error(output || `${argv.join(' ')} ended with ${status}`)
  return output
}

/** Numbers of a user and its group. @throws Error when there is none */
export function accountIds(name: string): { uid: number; gid: number } {
  const [, , uid, gid] = mustRun(['getent', 'passwd', name]).split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
