import t from 'tap'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { judgeHostKey, knownKeyTypes, parseKnownHosts } from '../../../../controller/transport/known-hosts.ts'
import { generateKey } from '../../../../shared/sshsig/generate-key.ts'

const newKey = () => generateKey('host').publicKey.split(' ')[1] ?? ''
const [mine, other] = [newKey(), newKey()]
const type = 'ssh-ed25519'
const judge = (text: string, host: string, port = 22, key = mine) =>
  judgeHostKey(parseKnownHosts(text, 'known_hosts'), host, port, type, key).verdict

t.test('a key is known for its host and port, and for no other', (t) => {
  const text = `# mine\nweb1,10.0.0.1 ${type} ${mine} comment\n[web2]:2222 ${type} ${mine}\n`
  t.equal(judge(text, 'web1'), 'known')
  t.equal(judge(text, 'WEB1'), 'known')
  t.equal(judge(text, '10.0.0.1'), 'known')
  t.equal(judge(text, 'web1', 2222), 'unknown')
  t.equal(judge(text, 'web2', 2222), 'known')
  t.equal(judge(text, 'web2'), 'unknown')
  t.match(judgeHostKey(parseKnownHosts(text, 'f'), 'web1', 22, type, mine), { file: 'f', line: 2 })
  t.end()
})

t.test('another key of the same type is a change; of another type it is not', (t) => {
  const text = `web1 ${type} ${other}\nweb3 ecdsa-sha2-nistp256 AAAA\n`
  t.match(judgeHostKey(parseKnownHosts(text, 'f'), 'web1', 22, type, mine), {
    verdict: 'changed',
    known: [{ key: other, line: 1 }],
  })
  t.equal(judge(text, 'web3'), 'unknown')
  t.same(knownKeyTypes(parseKnownHosts(text, 'f'), 'web3', 22), ['ecdsa-sha2-nistp256'])
  t.end()
})

t.test(
  'a revoked key is revoked though another line knows it; an authority vouches for no plain key',
  (t) => {
    t.equal(judge(`web1 ${type} ${mine}\n@revoked * ${type} ${mine}\n`, 'web1'), 'revoked')
    t.equal(judge(`@revoked * ${type} ${other}\nweb1 ${type} ${mine}\n`, 'web1'), 'known')
    t.equal(judge(`@cert-authority * ${type} ${mine}\n`, 'web1'), 'unknown')
    t.end()
  },
)

t.test('patterns and their exceptions, and lines that make no sense', (t) => {
  const text = `!bad.example,*.example ${type} ${mine}\n@odd x ${type} ${mine}\nweb? ${type}\ndb? ${type} ${mine}\n|1|x ${type} ${mine}\n`
  t.equal(judge(text, 'good.example'), 'known')
  t.equal(judge(text, 'bad.example'), 'unknown')
  t.equal(judge(text, 'example'), 'unknown')
  t.equal(judge(text, 'db7'), 'known')
  t.equal(judge(text, 'web7'), 'unknown')
  t.equal(judge(text, 'x'), 'unknown')
  t.end()
})

t.test('a hostile pattern does not cost exponential time', (t) => {
  t.equal(judge(`${'*a'.repeat(2_000)}b ${type} ${mine}\n`, 'a'.repeat(250)), 'unknown')
  t.end()
})

const noKeygen = spawnSync('ssh-keygen', ['-?']).error ? 'ssh-keygen is not installed' : false
t.test('we find what `ssh-keygen -F` finds, after it has hashed the names', { skip: noKeygen }, (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-known-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'known_hosts')
  writeFileSync(file, `web1 ${type} ${mine}\n[web2]:2222 ${type} ${other}\n10.0.0.1 ${type} ${mine}\n`)
  execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' })
  const text = readFileSync(file, 'utf8')
  t.notMatch(text, /web1/)
  for (const [host, port] of [
    ['web1', 22],
    ['web2', 2222],
    ['web2', 22],
    ['10.0.0.1', 22],
    ['web9', 22],
  ] as const) {
    const name = port === 22 ? host : `[${host}]:${port}`
    const found = spawnSync('ssh-keygen', ['-F', name, '-f', file]).status === 0
    t.equal(judge(text, host, port) !== 'unknown', found, name)
  }
  t.end()
})
