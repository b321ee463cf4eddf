import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { addWeb1, bare } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { readFileSync } from 'node:fs'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

t.test('who may log in follows the root, by the host’s own sshd', { skip }, async (t) => {
  await using rig = await bare()
  const { web1, laptop } = rig
  t.equal((await laptop.cli(...addWeb1)).code, 0)
  const at = (name: string) => join(laptop.home.dir, name)
  const keygen = (...args: string[]) => execFileSync('ssh-keygen', ['-q', ...args])
  for (const name of ['ben', 'ben_login', 'ca', 'carla']) keygen('-t', 'ed25519', '-N', '', '-f', at(name))
  /** What sshd itself says to a key, without a word of the agent's. */
  const login = async (key: string) =>
    (
      await rig.run([
        ...'ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none'.split(' '),
        ...'-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i'.split(' '),
        at(key),
        'deployctl@10.77.0.11',
      ])
    ).stderr
  const denied = /Permission denied \(publickey\)/

  t.match(await login('ben_login'), denied)
  const added = await laptop.cli(
    'trust',
    'add-key',
    'ben',
    `${at('ben')}.pub`,
    '--login',
    `${at('ben_login')}.pub`,
  )
  t.equal(added.code, 0, added.stderr)
  t.equal((await laptop.cli('trust', 'publish')).code, 0)
  t.notMatch(await login('ben_login'), denied, 'a key that only the root names')

  t.equal((await laptop.cli('trust', 'revoke', 'ben')).code, 0)
  t.notMatch(await login('ben_login'), denied, 'as long as the host has not heard of it')
  t.equal((await laptop.cli('trust', 'publish')).code, 0)
  t.match(await login('ben_login'), denied)
  await web1.copy(`${at('ben_login')}.pub`, '/etc/deployctl/authorized_keys.more')
  await web1.must('sh', '-c', 'cat /etc/deployctl/authorized_keys.more >>/etc/deployctl/authorized_keys')
  t.match(await login('ben_login'), denied, 'not by the administrator’s file either')

  keygen('-s', at('ca'), '-I', 'carla', '-n', 'pushers', `${at('carla')}.pub`)
  await web1.copy(`${at('ca')}.pub`, '/etc/deployctl/user_ca_keys')
  await web1.must('sh', '-c', 'echo pushers >>/etc/deployctl/principals')
  t.notMatch(await login('carla'), denied, 'a certificate')
  const carla = fingerprintOf(publicKeyBlob(readFileSync(`${at('carla')}.pub`, 'utf8')))
  t.equal((await laptop.cli('trust', 'revoke', carla)).code, 0)
  t.equal((await laptop.cli('trust', 'publish')).code, 0)
  t.match(await login('carla'), denied, 'its key was shut out')

  laptop.version('v2')
  t.equal((await laptop.cli('push')).code, 0, 'everybody else goes on')
  const doctor = await laptop.cli('doctor')
  t.equal(doctor.code, 0, doctor.stdout)
})
