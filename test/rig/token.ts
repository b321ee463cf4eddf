import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:net'
import type { Test } from 'tap'
import { armor, signedBytes } from '../../shared/sshsig/format.ts'
import type { Namespace } from '../../shared/formats/namespaces.ts'
import { WireReader, uint32, wireString } from '../../shared/sshsig/wire.ts'

const type = 'sk-ssh-ed25519@openssh.com'
const application = 'ssh:'
const touched = 1

/** What a hardware key does, in software: it signs application, flags and counter with the message. */
export type Token = {
  publicLine: string
  /** An SSHSIG; `flags` without the first bit is one that nobody touched the key for. */
  sshsig(namespace: Namespace, message: Buffer, flags?: number): string
  /** An ssh-agent that holds it. Gives the socket's path. */
  agent(t: Test, path: string, flags?: number): Promise<void>
}

export function makeToken(): Token {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
  const blob = Buffer.concat([wireString(type), wireString(point), wireString(application)])
  let counter = 0
  const signature = (data: Buffer, flags: number) => {
    counter += 1
    const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
    const tail = Buffer.concat([Buffer.from([flags]), uint32(counter)])
    const raw = sign(null, Buffer.concat([hash(Buffer.from(application)), tail, hash(data)]), privateKey)
    return Buffer.concat([wireString(type), wireString(raw), tail])
  }
  return {
    publicLine: `${type} ${blob.toString('base64')}`,
    sshsig: (namespace, message, flags = touched) =>
      armor(blob, namespace, 'sha512', signature(signedBytes(namespace, 'sha512', message), flags)),
    async agent(t, path, flags = touched) {
      const server = createServer((socket) => {
        socket.on('data', (request) => {
          const reader = new WireReader(request.subarray(4))
          const isList = reader.byte() === 11
          if (!isList) reader.string()
          const answer = isList
            ? Buffer.concat([Buffer.from([12]), uint32(1), wireString(blob), wireString('token')])
            : Buffer.concat([Buffer.from([14]), wireString(signature(reader.string(), flags))])
          socket.end(wireString(answer))
        })
      })
      t.teardown(() => server.close())
      await new Promise<void>((resolve) => server.listen(path, resolve))
    },
  }
}
