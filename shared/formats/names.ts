import { Type } from '../schema.ts'

/** A service, environment or host name: also used as a directory and unit name, so its letters are few. */
export const Name = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$', maxLength: 63 })
/** sha256 in lower-case hex. */
export const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** Instant, UTC, as Date.toISOString() writes it. */
export const Instant = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' })
/** Fleet id: 128 random bits in hex, made once with the root. */
export const FleetId = Type.String({ pattern: '^[0-9a-f]{32}$' })
/** Operation id: 128 random bits in hex. */
export const OpId = Type.String({ pattern: '^[0-9a-f]{32}$' })
/** A host's challenge: 256 random bits in hex. */
export const Challenge = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** An OpenSSH public key, `type base64`, without comment. */
export const PublicKey = Type.String({
  pattern: '^(ssh-ed25519|sk-ssh-ed25519@openssh.com) [A-Za-z0-9+/]+=*$',
  maxLength: 512,
})
export const Version = Type.String({ minLength: 1, maxLength: 128, pattern: '^[\\x21-\\x7e]+$' })
export const EnvName = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' })
/** An armored SSHSIG; a document carries one to eight. */
export const Signatures = Type.Array(Type.String({ minLength: 64, maxLength: 4096 }), {
  minItems: 1,
  maxItems: 8,
})
/** Seconds with a sane upper bound of a day. */
export const Seconds = Type.Number({ minimum: 0, maximum: 86_400 })
