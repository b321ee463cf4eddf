import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { answers, freePort } from './ports.ts'

const bridge = new URL('../../bin/deploy-agent.cjs', import.meta.url).pathname
const program = '/usr/sbin/sshd'

export type Sshd = { port: number; user: string; hostKey: string; dir: string }

/** A real sshd on loopback that can do nothing but the bridge, as docs/hosts.md sets it up. */
export async function startSshd(
  t: Test,
  agentDir: string,
  authorizedKeys: string,
  extra = '',
): Promise<Sshd> {
  const dir = mkdtempSync(join(tmpdir(), 'sshd-'))
  chmodSync(dir, 0o755)
  const hostKey = join(dir, 'host_key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', hostKey])
  // Its own directory for separated privileges, which the package makes at boot.
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  const user = userInfo().username
  // What the documentation tells an administrator to write, for this user and this agent.
  const documented = documentedConfig()
    .replace('Match User deployctl', `Match User ${user}`)
    .replace('/etc/ssh/deployctl_keys', authorizedKeys)
    .replace('/usr/local/bin/deploy-agent bridge', `${process.execPath} ${bridge} bridge`)
    .replace('/var/lib/deployctl', agentDir)
  const config = `Port ${port}
ListenAddress 127.0.0.1
HostKey ${hostKey}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
${extra}
${documented}`
  writeFileSync(join(dir, 'config'), config)
  const child = spawn(program, ['-D', '-e', '-f', join(dir, 'config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  t.teardown(() => child.kill())
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 100 || child.exitCode !== null) throw new Error(`sshd did not start: ${log}`)
    await delay(50)
  }
  return { port, user, hostKey: `${hostKey}.pub`, dir }
}

/** The block of docs/hosts.md. */
function documentedConfig(): string {
  const page = readFileSync(new URL('../../docs/hosts.md', import.meta.url), 'utf8')
  const found = /```sshd_config\n([^]*?)```/.exec(page)?.[1]
  if (found === undefined) throw new Error('docs/hosts.md has no sshd_config')
  return found
}
