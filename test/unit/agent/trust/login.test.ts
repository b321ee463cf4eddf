import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseLogin } from '../../../../agent/trust/login.ts'
import { missingPackage } from '../../../rig/packages.ts'

const skip = missingPackage('/usr/bin/ssh-keygen', 'openssh-client')
if (skip) t.comment(`skipped: ${skip}`)

const keygen = (...args: string[]) =>
  execFileSync('ssh-keygen', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString()

t.test('keys and certificates of every kind are known as ssh-keygen knows them', { skip }, (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'login-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const at = (name: string) => join(dir, name)
  keygen('-q', '-t', 'ed25519', '-N', '', '-f', at('ca'))
  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    keygen('-q', '-t', type, '-N', '', '-f', at(type))
    keygen(
      '-q',
      '-s',
      at('ca'),
      '-I',
      `ada on ${type}`,
      '-z',
      '12345678901234',
      '-n',
      'deploy',
      `${at(type)}.pub`,
    )
    const key = keygen('-lf', `${at(type)}.pub`).split(' ')[1]
    const plain = readFileSync(`${at(type)}.pub`, 'utf8')
    t.same(parseLogin('deployctl', `publickey ${plain}`), { user: 'deployctl', key, certificate: null })
    const certificate = { id: `ada on ${type}`, serial: '12345678901234' }
    const certified = readFileSync(`${at(type)}-cert.pub`, 'utf8')
    t.same(parseLogin('deployctl', `publickey ${certified}`), { user: 'deployctl', key, certificate })
  }
  t.end()
})

t.test('what cannot be read names nobody', (t) => {
  const nobody = { user: 'x', key: null, certificate: null }
  for (const auth of [null, '', 'password', 'publickey', 'publickey ssh-ed25519-cert-v01@openssh.com AAAA'])
    t.same(parseLogin('x', auth), nobody, String(auth))
  t.match(parseLogin('x', 'publickey SHA256:abc'), { key: 'SHA256:abc' })
  t.end()
})
