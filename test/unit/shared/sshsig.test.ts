import t from 'tap'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '../../../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../../../shared/sshsig/key-file.ts'
import ssh2 from 'ssh2'
import { publicKeyLine } from '../../../shared/sshsig/public-key.ts'
import { verifySignature } from '../../../shared/sshsig/verify.ts'
import { namespaces } from '../../../shared/formats/namespaces.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-sshsig-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const message = Buffer.from('{"spec":"deployctl/release/v1"}\n')
const noKeygen = spawnSync('ssh-keygen', ['-?']).error ? 'ssh-keygen is not installed' : false

const keyPath = join(dir, 'id')
const generated = generateKey('someone@example')
writeFileSync(keyPath, generated.privateKey)
chmodSync(keyPath, 0o600)

t.test('what we sign we verify, and it names the key', async (t) => {
  const signer = await keyFileSigner(keyPath)
  const signature = await signer.sign(namespaces.release, message)
  t.same(verifySignature(namespaces.release, message, signature), {
    publicKey: signer.publicKey,
    fingerprint: signer.fingerprint,
  })
  t.equal(generated.publicKey, `${signer.publicKey} someone@example`)
})

t.test('a signature for one kind of document is no good for another', async (t) => {
  const signature = await (await keyFileSigner(keyPath)).sign(namespaces.release, message)
  t.throws(() => verifySignature(namespaces.order, message, signature), { code: 'E_SIGNATURE_INVALID' })
})

t.test('every changed bit of the message or the signature is refused', async (t) => {
  const signature = await (await keyFileSigner(keyPath)).sign(namespaces.release, message)
  const accepted: string[] = []
  const flipped = (bytes: Buffer, bit: number) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    return copy
  }
  const tryIt = (what: string, message: Buffer, signature: string) => {
    try {
      verifySignature(namespaces.release, message, signature)
      accepted.push(what)
    } catch (error) {
      if (!(error as { code: string }).code.startsWith('E_SIGNATURE_')) throw error
    }
  }
  for (let bit = 0; bit < message.length * 8; bit++) tryIt(`message ${bit}`, flipped(message, bit), signature)
  // The white space after the last line is not part of the signature.
  const body = Buffer.from(signature.trimEnd(), 'latin1')
  for (let bit = 0; bit < body.length * 8; bit++)
    tryIt(`signature ${bit}`, message, flipped(body, bit).toString('latin1'))
  t.same(accepted, [])
})

t.test('ssh-keygen verifies what we sign', { skip: noKeygen }, async (t) => {
  const signer = await keyFileSigner(keyPath)
  writeFileSync(join(dir, 'm.sig'), await signer.sign(namespaces.order, message))
  writeFileSync(join(dir, 'allowed'), `me ${signer.publicKey}\n`)
  const argv = [
    '-Y',
    'verify',
    '-f',
    join(dir, 'allowed'),
    '-I',
    'me',
    '-n',
    namespaces.order,
    '-s',
    join(dir, 'm.sig'),
  ]
  t.match(execFileSync('ssh-keygen', argv, { input: message, encoding: 'utf8' }), /^Good .* signature/)
})

t.test(
  'we verify what ssh-keygen signs, also with a key under a passphrase',
  { skip: noKeygen },
  async (t) => {
    const locked = join(dir, 'locked')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'open sesame', '-f', locked])
    await t.rejects(keyFileSigner(locked), { code: 'E_KEY_PASSPHRASE' })
    await t.rejects(
      keyFileSigner(locked, async () => 'wrong'),
      { code: 'E_KEY_PASSPHRASE' },
    )
    const signer = await keyFileSigner(locked, async () => 'open sesame')
    t.ok(verifySignature(namespaces.root, message, await signer.sign(namespaces.root, message)))
    writeFileSync(join(dir, 'document'), message)
    execFileSync(
      'ssh-keygen',
      ['-Y', 'sign', '-f', keyPath, '-n', namespaces.release, join(dir, 'document')],
      { stdio: 'pipe' },
    )
    const signature = readFileSync(join(dir, 'document.sig'), 'utf8')
    t.equal(
      verifySignature(namespaces.release, message, signature).fingerprint,
      (await keyFileSigner(keyPath)).fingerprint,
    )
    const listed = execFileSync('ssh-keygen', ['-l', '-f', `${locked}.pub`], { encoding: 'utf8' })
    t.match(listed, signer.fingerprint)
  },
)

t.test('a key that is missing, public or of another kind is named', async (t) => {
  await t.rejects(keyFileSigner(join(dir, 'nothing')), { code: 'E_KEY_MISSING' })
  writeFileSync(join(dir, 'public'), generated.publicKey)
  await t.rejects(keyFileSigner(join(dir, 'public')), { code: 'E_KEY_UNREADABLE' })
  writeFileSync(join(dir, 'garbage'), 'garbage')
  await t.rejects(keyFileSigner(join(dir, 'garbage')), { code: 'E_KEY_UNREADABLE' })
})

t.test('every key we generate can be read back, whatever its comment and its bytes are', async (t) => {
  const broken: number[] = []
  for (let index = 0; index < 2_000; index++) {
    const key = generateKey('c'.repeat(index % 9))
    const parsed = ssh2.utils.parseKey(key.privateKey)
    const line = parsed instanceof Error ? '' : publicKeyLine(parsed.getPublicSSH())
    if (!line || !key.publicKey.startsWith(line)) broken.push(index)
  }
  t.same(broken, [])
})

t.test('ssh-keygen reads the keys we generate', { skip: noKeygen }, async (t) => {
  const listed = execFileSync('ssh-keygen', ['-y', '-f', keyPath], { encoding: 'utf8' })
  t.equal(listed.trim(), generated.publicKey)
})
