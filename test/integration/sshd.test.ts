import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { missingPackage } from '../rig/packages.ts'
import { makeRig, type Rig } from '../rig/rig.ts'
import { startSshd, type Sshd } from '../rig/sshd.ts'

const skip = missingPackage('/usr/sbin/sshd', 'openssh-server')
if (skip) t.comment(`skipped: ${skip}`)

async function behindSshd(
  t: import('tap').Test,
  transport: string,
  extra = '',
): Promise<{ rig: Rig; sshd: Sshd }> {
  const rig = await makeRig(t)
  const sshd = await startSshd(t, rig.host('web1').dir, `${rig.home.loginKey}.pub`, extra)
  const [type, key] = readFileSync(sshd.hostKey, 'utf8').split(' ')
  writeFileSync(join(rig.home.dir, 'known_hosts'), `[127.0.0.1]:${sshd.port} ${type} ${key}\n`)
  const file = join(rig.project, 'deploy.yaml')
  const host = `{ address: '${sshd.user}@127.0.0.1:${sshd.port}', identity: ${rig.home.loginKey}, transport: ${transport} }`
  writeFileSync(file, readFileSync(file, 'utf8').replace(/web1: \{.*\}/, `web1: ${host}`))
  return { rig, sshd }
}

for (const transport of ['ssh2', 'system'])
  t.test(`a push goes through a real sshd by ${transport}`, { skip }, async (t) => {
    const { rig } = await behindSshd(t, transport)
    const first = await rig.cli('push')
    t.equal(first.code, 0, first.stderr)
    rig.version('v2')
    const second = await rig.cli('push')
    t.equal(second.code, 0, second.stderr)
    t.equal(await rig.get('web1'), 'v2')
    t.equal((await rig.cli('rollback')).code, 0)
    t.equal(await rig.get('web1'), 'v1')
    t.equal((await rig.cli('history', '--verify')).code, 0)
    t.match((await rig.cli('doctor')).stdout, new RegExp(`web1: agent .* by ${transport}`))
  })

t.test('a key that may deploy gets no shell, no command, no file, no tunnel', { skip }, async (t) => {
  const { rig, sshd } = await behindSshd(t, 'ssh2')
  const ssh = (...args: string[]) => {
    const options = [
      '-F',
      'none',
      '-i',
      rig.home.loginKey,
      '-p',
      String(sshd.port),
      '-o',
      'BatchMode=yes',
      '-o',
      'StrictHostKeyChecking=yes',
    ]
    const known = ['-o', `UserKnownHostsFile=${join(rig.home.dir, 'known_hosts')}`]
    try {
      return execFileSync('ssh', [...options, ...known, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 10_000,
      }).toString()
    } catch (error) {
      return String((error as { stdout?: Buffer }).stdout ?? '')
    }
  }
  const target = `${sshd.user}@127.0.0.1`
  t.notMatch(ssh(target, 'id'), 'uid=')
  t.notMatch(ssh('-tt', target), 'root@')
  t.notMatch(ssh('-s', target, 'sftp'), /uid=|SSH-2/)
  t.notMatch(ssh('-W', `127.0.0.1:${sshd.port}`, target), /SSH-2/)
})

t.test('an agent that is not there is said in words, not in silence', { skip }, async (t) => {
  for (const transport of ['ssh2', 'system']) {
    const { rig } = await behindSshd(t, transport)
    await rig.host('web1').kill()
    const ran = await rig.cli('status')
    t.equal(ran.code, 6)
    t.match(ran.stderr, /E_AGENT_DOWN .*web1/)
  }
})

t.test('the system transport says what ssh says', { skip }, async (t) => {
  const { rig } = await behindSshd(t, 'system')
  writeFileSync(join(rig.home.dir, 'known_hosts'), '')
  t.match((await rig.cli('status')).stderr, /E_HOST_KEY_UNKNOWN/)
  const other = await behindSshd(t, 'system', 'AuthorizedKeysFile none\n')
  writeFileSync(`${other.rig.home.loginKey}.pub`, '')
  t.match((await other.rig.cli('status')).stderr, /E_SSH_AUTH/)
})
