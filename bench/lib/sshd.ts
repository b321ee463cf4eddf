import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { cpuOf } from './measure.ts'
import { answers, freePort } from '../../test/rig/ports.ts'

/** Two real sshd on loopback: one that runs commands, for rsync, and one that runs only the bridge. */
export async function startBenchSshd(dir: string, authorizedKeys: string, bridge: string, more = '') {
  const key = join(dir, 'ssh_host_key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const start = async (name: string, extra: string) => {
    const port = await freePort()
    const common = `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${key}\nPidFile none\nAuthorizedKeysFile ${authorizedKeys}\n`
    const rest =
      'StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n'
    writeFileSync(join(dir, name), common + rest + extra)
    const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(dir, name)], { stdio: 'ignore' })
    for (let tries = 0; tries < 100 && !(await answers(port)); tries++)
      await new Promise((resolve) => setTimeout(resolve, 50))
    return { child, port }
  }
  const plain = await start('sshd_plain', more)
  const forced = await start('sshd_forced', `Subsystem deployctl /bin/false\nForceCommand ${bridge}\n`)
  return {
    plainPort: plain.port,
    forcedPort: forced.port,
    user: userInfo().username,
    hostKey: readFileSync(`${key}.pub`, 'utf8').split(' ').slice(0, 2).join(' '),
    cpuMs: () => [plain, forced].reduce((sum, { child }) => sum + cpuOf(child.pid ?? 0), 0),
    end: () => [plain, forced].forEach(({ child }) => child.kill()),
  }
}
