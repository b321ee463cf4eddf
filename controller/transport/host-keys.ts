import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf } from '../../shared/sshsig/public-key.ts'
import { WireReader } from '../../shared/sshsig/wire.ts'
import { hostName, judgeHostKey, parseKnownHosts, type KnownHosts } from './known-hosts.ts'
import type { Asking } from './transport.ts'

export type HostKeyCheck = {
  /** The name in deploy.yaml, for messages. */
  name: string
  host: string
  port: number
  known: KnownHosts
  /** Where a key that is accepted now is written down. */
  ownFile: string
  /** A fingerprint given with --host-key. */
  expected: string | null
  asking: Asking
}

/** Files that are not there are empty. */
export async function readKnownHosts(files: readonly string[]): Promise<KnownHosts> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
  return texts.flatMap((text, index) => parseKnownHosts(text, files[index] ?? ''))
}

/**
 * Returns when the key may be trusted.
 * @param blob the key in wire form
 * @throws DeployError E_HOST_KEY_UNKNOWN, E_HOST_KEY_CHANGED, E_HOST_KEY_REVOKED
 */
export async function checkHostKey(blob: Buffer, check: HostKeyCheck): Promise<void> {
  const { name, host, port, known, expected, asking, ownFile } = check
  const type = new WireReader(blob).text()
  const fingerprint = fingerprintOf(blob)
  const verdict = judgeHostKey(known, host, port, type, blob.toString('base64'))
  const shown = hostName(host, port)
  if (verdict.verdict === 'revoked')
    throw new DeployError('E_HOST_KEY_REVOKED', { host: shown, file: verdict.file })
  if (verdict.verdict === 'known') return
  if (verdict.verdict === 'changed') {
    const old = verdict.known.map(({ key }) => fingerprintOf(Buffer.from(key, 'base64'))).join(', ')
    throw new DeployError('E_HOST_KEY_CHANGED', { host: shown, name, fingerprint, known: old })
  }
  const isGiven = expected === fingerprint
  const isTrusted = isGiven || (expected === null && (await asking.trustKey?.(shown, type, fingerprint)))
  if (!isTrusted) throw new DeployError('E_HOST_KEY_UNKNOWN', { host: shown, name, type, fingerprint })
  await rememberHostKey(ownFile, host, port, blob)
}

export async function rememberHostKey(file: string, host: string, port: number, blob: Buffer): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const type = new WireReader(blob).text()
  await appendFile(file, `${hostName(host, port)} ${type} ${blob.toString('base64')}\n`, { mode: 0o600 })
}

/** Takes a host's keys out of our own file; the user's files are theirs. */
export async function forgetHostKey(file: string, host: string, port: number): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const name = hostName(host, port)
  const kept = text.split('\n').filter((line) => line !== '' && line.split(' ')[0] !== name)
  if (text) await writeFile(file, kept.map((line) => `${line}\n`).join(''), { mode: 0o600 })
}
