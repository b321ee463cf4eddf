import { connect } from 'node:net'
import { DeployError } from '../errors.ts'
import { armor, signedBytes } from './format.ts'
import { fingerprintOf, publicKeyBlob, publicKeyLine } from './public-key.ts'
import type { Signer } from './signer.ts'
import { WireReader, uint32, wireString } from './wire.ts'

/** Message numbers of draft-miller-ssh-agent. */
const request = { identities: 11, sign: 13 } as const
const answer = { identities: 12, signature: 14 } as const
const maxAnswerBytes = 256 * 1024
/** Long enough to find and touch a hardware key. */
const answerTimeoutMs = 60_000

/**
 * A signer whose private key stays in ssh-agent. The whole signature is kept as the agent gives it,
 * with a hardware key's flags and counter, which ssh2's own client drops.
 * @param socketPath the value of SSH_AUTH_SOCK
 */
export function agentSigner(socketPath: string, publicKey: string): Signer {
  const blob = publicKeyBlob(publicKey)
  const fingerprint = fingerprintOf(blob)
  return {
    publicKey: publicKeyLine(blob),
    fingerprint,
    sign: async (namespace, message) => {
      const data = signedBytes(namespace, 'sha512', message)
      const body = [Buffer.from([request.sign]), wireString(blob), wireString(data), uint32(0)]
      const reply = await ask(socketPath, Buffer.concat(body), fingerprint)
      if (reply.byte() !== answer.signature)
        throw new DeployError('E_AGENT_REFUSED', {
          fingerprint,
          why: 'it does not have the key, or you declined',
        })
      const signature = reply.string()
      reply.end()
      return armor(blob, namespace, 'sha512', signature)
    },
  }
}

/** The keys an agent holds. @throws DeployError E_AGENT_REFUSED */
export async function listAgentKeys(
  socketPath: string,
): Promise<{ publicKey: string; fingerprint: string; comment: string }[]> {
  const reply = await ask(socketPath, Buffer.from([request.identities]), 'any key')
  if (reply.byte() !== answer.identities)
    throw new DeployError('E_AGENT_REFUSED', { fingerprint: 'any key', why: 'it would not list its keys' })
  const keys = Array.from({ length: Math.min(reply.uint32(), 1024) }, () => {
    const blob = reply.string()
    return {
      publicKey: publicKeyLine(blob),
      fingerprint: fingerprintOf(blob),
      comment: reply.string().toString(),
    }
  })
  reply.end()
  return keys
}

/** One question on a connection of its own. */
async function ask(socketPath: string, body: Buffer, fingerprint: string): Promise<WireReader> {
  const socket = connect(socketPath)
  socket.setTimeout(answerTimeoutMs, () => socket.destroy(new Error('it did not answer in time')))
  try {
    socket.write(wireString(body))
    return new WireReader(await readAnswer(socket))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DeployError('E_AGENT_REFUSED', { fingerprint, why }, { cause })
  } finally {
    socket.destroy()
  }
}

async function readAnswer(socket: AsyncIterable<Buffer>): Promise<Buffer> {
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk])
    const length = received.length < 4 ? null : received.readUInt32BE()
    if (length !== null && length > maxAnswerBytes) throw new Error('its answer is too long')
    if (length !== null && received.length >= 4 + length) return received.subarray(4, 4 + length)
  }
  throw new Error('it closed the connection')
}
