import t from 'tap'
import { chooseTransport, type TransportFacts } from '../../../../controller/transport/choose.decide.ts'
import { systemError } from '../../../../controller/transport/system-ssh.ts'

const plain: TransportFacts = {
  wanted: 'auto',
  hasSystemSsh: true,
  proxyCommand: null,
  certificateFiles: [],
  certified: [],
  hardware: [],
  plain: ['/home/me/.ssh/id_ed25519'],
  hasAgent: false,
  pkcs11: false,
  certifiedHostOnly: false,
  kex: ['curve25519-sha256', 'sntrup761x25519-sha512'],
  ownKex: ['curve25519-sha256'],
}
const choose = (change: Partial<TransportFacts> = {}) => chooseTransport({ ...plain, ...change })

t.test('ssh2 unless the settings need what only ssh can do', (t) => {
  t.equal(choose().transport, 'ssh2')
  const needs: [Partial<TransportFacts>, RegExp][] = [
    [{ proxyCommand: 'nc %h %p' }, /ProxyCommand/],
    [{ certificateFiles: ['id-cert.pub'] }, /user certificate/],
    [{ certified: ['id_ed25519'] }, /user certificate/],
    [{ hardware: ['id_ed25519_sk'], plain: [] }, /hardware key/],
    [{ pkcs11: true }, /PKCS#11/],
    [{ certifiedHostOnly: true }, /host certificate/],
    [{ kex: ['sntrup761x25519-sha512'] }, /key exchange/],
  ]
  for (const [change, why] of needs) {
    t.match(choose(change), { transport: 'system', why })
    t.equal(choose({ ...change, hasSystemSsh: false }).transport, 'ssh2', 'where there is no other')
    t.equal(choose({ ...change, wanted: 'ssh2' }).transport, 'ssh2', 'deploy.yaml has the last word')
  }
  t.equal(choose({ hardware: ['id_ed25519_sk'] }).transport, 'ssh2', 'a plain key will do')
  t.equal(choose({ hardware: ['id_ed25519_sk'], plain: [], hasAgent: true }).transport, 'ssh2')
  t.equal(choose({ wanted: 'system' }).transport, 'system')
  t.end()
})

t.test('what ssh complains about gets our codes', (t) => {
  const codes: [string, string][] = [
    ['ssh: connect to host web1 port 22: Connection refused', 'E_SSH_CONNECT'],
    ['ssh: Could not resolve hostname web1: Name or service not known', 'E_SSH_CONNECT'],
    ['me@web1: Permission denied (publickey).', 'E_SSH_AUTH'],
    [
      'No ED25519 host key is known for web1 and you have requested strict checking.\nHost key verification failed.',
      'E_HOST_KEY_UNKNOWN',
    ],
    [
      '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.',
      'E_HOST_KEY_CHANGED',
    ],
    ['subsystem request failed on channel 0', 'E_SSH_SUBSYSTEM'],
  ]
  for (const [complaint, code] of codes) t.equal(systemError('web1', complaint).code, code, complaint)
  t.end()
})
