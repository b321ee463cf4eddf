import { join } from 'node:path'
import { replaceFile } from '../../shared/durable.ts'
import type { Root } from '../../shared/formats/root.ts'

/**
 * Who may log in by the root, and who no more: files that sshd asks for by login.sh, and that the
 * embedded SSH server reads.
 */
export const loginFiles = (dir: string) => ({
  allowed: join(dir, 'login_keys'),
  revoked: join(dir, 'revoked_logins'),
})

/** Written at each start and with each new root. */
export function tellLogins(dir: string, { keys, revokedLogins = [] }: Root): void {
  const files = loginFiles(dir)
  const allowed = keys.flatMap(({ owner, logins = [] }) => logins.map((key) => `${key} ${owner}`))
  const lines = (list: readonly string[]) => list.map((line) => `${line}\n`).join('')
  replaceFile(files.revoked, lines(revokedLogins), 0o644)
  replaceFile(files.allowed, lines(allowed), 0o644)
}

/** @param key fingerprint of what somebody logged in with */
export const isRevokedLogin = ({ revokedLogins = [] }: Root, key: string): boolean =>
  revokedLogins.includes(key)
