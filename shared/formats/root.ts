import { Strict, Type, type Static } from '../schema.ts'
import { FleetId, Instant, PublicKey } from './names.ts'
import { TimeWindow } from './windows.ts'

export const Role = Type.Union([
  Type.Literal('root'),
  Type.Literal('release'),
  Type.Literal('order'),
  Type.Literal('schedule'),
  Type.Literal('recovery'),
])
export type Role = Static<typeof Role>
export const roles = ['root', 'release', 'order', 'schedule', 'recovery'] as const satisfies readonly Role[]

const Threshold = Type.Integer({ minimum: 1, maximum: 8 })

/** A person's or machine's name: also a principal in an allowed_signers file, so its letters are few. */
export const Owner = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}$', maxLength: 63 })

/** A name, or with a star at its end all names that begin so. */
const Pattern = Type.String({ pattern: '^(?:[a-z0-9][a-z0-9._-]{0,61}\\*?|\\*)$', maxLength: 63 })

/** Services and hosts; empty lists cover nothing. */
export const Scope = Strict({
  services: Type.Array(Pattern, { minItems: 1, maxItems: 64 }),
  hosts: Type.Array(Pattern, { minItems: 1, maxItems: 1000 }),
})
export type Scope = Static<typeof Scope>

/** As `ssh-keygen -l` prints it. */
export const Fingerprint = Type.String({ pattern: '^SHA256:[A-Za-z0-9+/]{43}$' })

/** A public key of any type that sshd knows, without options or comment. */
export const LoginKey = Type.String({
  pattern: '^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$',
  maxLength: 2048,
})

export const RootKey = Strict({
  owner: Owner,
  key: PublicKey,
  roles: Type.Array(Role, { minItems: 1, maxItems: 5, uniqueItems: true }),
  /** Until when it signs releases, orders and approvals; a root key serves until a root leaves it out. */
  notAfter: Type.Optional(Instant),
  /** What it may sign for; everything when absent. */
  scope: Type.Optional(Scope),
  /** Keys with which its owner logs in, beside those that the host's administrator allows. */
  logins: Type.Optional(Type.Array(LoginKey, { minItems: 1, maxItems: 8 })),
})
export type RootKey = Static<typeof RootKey>

/** What an order for these services and hosts needs; of several that cover it, all count. */
export const Policy = Strict({
  scope: Scope,
  /** People who must agree, whoever orders counted in. */
  approvals: Type.Optional(Threshold),
  /** Only releases made from a commit, without changes to it. */
  cleanCommit: Type.Optional(Type.Literal(true)),
  /** When it may be deployed; at any time when absent. */
  windows: Type.Optional(Type.Array(TimeWindow, { minItems: 1, maxItems: 16 })),
})
export type Policy = Static<typeof Policy>

/**
 * root.N.json: who may sign what in a fleet. The first is signed by itself; each further one by the people
 * of the one before it as well. Thresholds count people (owners), not keys.
 */
export const Root = Strict({
  spec: Type.Literal('deployctl/root/v1'),
  version: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  fleet: FleetId,
  /** A new one voids every order and approval signed before. */
  epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  expires: Instant,
  keys: Type.Array(RootKey, { maxItems: 64 }),
  thresholds: Strict({
    root: Threshold,
    release: Threshold,
    order: Threshold,
    schedule: Type.Optional(Threshold),
    recovery: Type.Optional(Threshold),
  }),
  policies: Type.Optional(Type.Array(Policy, { minItems: 1, maxItems: 64 })),
  /** Keys that nobody may log in with any more, whoever else allows them. */
  revokedLogins: Type.Optional(Type.Array(Fingerprint, { minItems: 1, maxItems: 1000, uniqueItems: true })),
})
export type Root = Static<typeof Root>

export const rootLimits = { bytes: 1024 * 1024, depth: 8 } as const
