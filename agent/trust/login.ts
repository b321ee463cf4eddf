import type { Login } from '../../shared/formats/receipt.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { WireReader, wireString } from '../../shared/sshsig/wire.ts'

const certified = /-cert-v01@openssh\.com$/
const maxIdChars = 256

/**
 * Who logged in, from what sshd writes with ExposeAuthInfo (`publickey TYPE BASE64`) or from what the
 * embedded server says (`publickey SHA256:…`). The first line that names a key counts.
 */
export function parseLogin(user: string, auth: string | null): Login {
  for (const line of (auth ?? '').split('\n')) {
    const [method, type = '', base64 = ''] = line.trim().split(' ')
    if (method !== 'publickey') continue
    if (type.startsWith('SHA256:')) return { user, key: type, certificate: null }
    const found = readKey(type, base64)
    if (found) return { user, ...found }
  }
  return { user, key: null, certificate: null }
}

function readKey(type: string, base64: string): Omit<Login, 'user'> | null {
  try {
    const blob = publicKeyBlob(`${type} ${base64}`)
    return certified.test(type) ? readCertificate(blob) : { key: fingerprintOf(blob), certificate: null }
  } catch {
    // Not of the shape it says it has; who it was stays unknown.
    return null
  }
}

/** PROTOCOL.certkeys of OpenSSH: type, nonce, the key's own fields, serial, kind, id. */
function readCertificate(blob: Buffer): Omit<Login, 'user'> {
  const reader = new WireReader(blob)
  const type = reader.text()
  const plain = type.replace(certified, type.startsWith('sk-') ? '@openssh.com' : '')
  reader.string()
  const fields = Array.from({ length: fieldsOf(plain) }, () => reader.string())
  const key = [plain, ...fields].map((field) => wireString(field))
  const serial = (BigInt(reader.uint32()) << 32n) | BigInt(reader.uint32())
  reader.uint32()
  const id = reader.string().toString('utf8').slice(0, maxIdChars)
  return { key: fingerprintOf(Buffer.concat(key)), certificate: { id, serial: serial.toString() } }
}

/** How many fields a public key of that type has, after its type. */
function fieldsOf(type: string): number {
  if (type.startsWith('sk-ssh-ed25519') || type === 'ssh-rsa' || type.startsWith('ecdsa-')) return 2
  return type.startsWith('sk-ecdsa') ? 3 : 1
}
