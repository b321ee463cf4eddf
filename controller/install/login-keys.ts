import { readFile } from 'node:fs/promises'
import { DeployError } from '../../shared/errors.ts'
import { listAgentKeys } from '../../shared/sshsig/ssh-agent.ts'
import type { HostTarget } from '../config/target.ts'
import { resolveTransport, type ConnectOptions } from '../transport/connect.ts'

/**
 * Which public keys may log in for pushes: those named; else those of this person's that the
 * administrator's own login accepts; else the first one there is.
 * @param logins lines of the administrator's authorized_keys on the host
 * @throws DeployError E_LOGIN_KEY
 */
export async function loginKeys(
  named: readonly string[],
  target: HostTarget,
  options: ConnectOptions,
  logins: readonly string[],
): Promise<string[]> {
  if (named.length > 0) return Promise.all(named.map((file) => readKey(file, target.name)))
  const { settings } = await resolveTransport(target, options)
  const held = settings.agentSocket ? await listAgentKeys(settings.agentSocket).catch(() => []) : []
  const files = settings.identityFiles.map((file) => readFile(`${file}.pub`, 'utf8').catch(() => null))
  const own = [
    ...held.map(({ publicKey, comment }) => `${publicKey} ${comment}`.trim()),
    ...(await Promise.all(files)).filter((line) => line !== null).map((line) => line.trim()),
  ]
  const accepted = own.filter((line) => logins.some((login) => login.includes(bare(line))))
  const [first] = own
  if (accepted.length === 0 && first === undefined)
    throw new DeployError('E_LOGIN_KEY', { host: target.name })
  const chosen = accepted.length > 0 ? accepted : [first ?? '']
  return [...new Map(chosen.map((line) => [bare(line), line])).values()]
}

/** Type and key, without the comment. */
const bare = (line: string) => line.split(' ').slice(0, 2).join(' ')

async function readKey(file: string, host: string): Promise<string> {
  const line = await readFile(file, 'utf8').catch(() => '')
  const isKey = /^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]+=*( |$)/m.test(line)
  if (!isKey) throw new DeployError('E_LOGIN_KEY', { host }, { cause: new Error(`${file} is no public key`) })
  return line.trim()
}
