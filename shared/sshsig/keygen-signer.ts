import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { DeployError } from '../errors.ts'
import { fingerprintOf, publicKeyBlob, publicKeyLine } from './public-key.ts'
import type { Signer } from './signer.ts'

/**
 * A signer that has `ssh-keygen -Y sign` do it: for keys on hardware, whose touch and PIN it asks for on
 * the terminal.
 * @param path of the private key's file, which for such a key is only a handle
 */
export function keygenSigner(path: string, publicLine: string): Signer {
  const blob = publicKeyBlob(publicLine)
  return {
    publicKey: publicKeyLine(blob),
    fingerprint: fingerprintOf(blob),
    async sign(namespace, message) {
      const child = spawn('ssh-keygen', ['-q', '-Y', 'sign', '-f', path, '-n', namespace], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const ended = new Promise<string>((resolve) => {
        child.once('error', (error) => resolve(error.message))
        child.once('close', (code) => resolve(code === 0 ? '' : `ssh-keygen ended with ${String(code)}`))
      })
      // One that ends before it has read everything says so by its status.
      child.stdin.on('error', () => {}).end(message)
      const [signature, why] = await Promise.all([text(child.stdout), ended])
      if (why) throw new DeployError('E_KEY_UNREADABLE', { path, why })
      return signature
    },
  }
}
