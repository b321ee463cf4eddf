import { Strict, Type, parserOf, type Static } from '../schema.ts'
import { Name, Seconds } from './names.ts'
import { LimitSpec } from './service-spec.ts'
import { SocketSpec } from './sockets.ts'

/**
 * What an administrator has agreed to that a service may have on a host: /etc/deployctl/services/NAME.json,
 * written by root beside the units that are made from it.
 */
export const Registration = Strict({
  spec: Type.Literal('deployctl/service/v1'),
  service: Name,
  /** A system user that exists, or one that systemd makes while the service runs. */
  user: Strict({
    name: Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,30}$' }),
    dynamic: Type.Boolean(),
  }),
  sockets: Type.Array(SocketSpec, { maxItems: 16 }),
  stop: Strict({ signal: Type.String({ pattern: '^SIG[A-Z0-9]+$' }), seconds: Seconds }),
  limits: LimitSpec,
})
export type Registration = Static<typeof Registration>
export const registrationParser = parserOf(Registration)
