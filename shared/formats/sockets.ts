import { Strict, Type, described, type Static } from '../schema.ts'
import { Name } from './names.ts'

/** A listening socket that the host owns and passes to the service as fd 3 and up (LISTEN_FDS). */
export const SocketSpec = Strict({
  name: described(Name, 'What probes and LISTEN_FDNAMES call it.'),
  host: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 253,
      description: 'Address to listen on; 0.0.0.0 when left out.',
    }),
  ),
  port: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 65_535, description: 'TCP port; 0 lets the host pick one.' }),
  ),
  path: Type.Optional(
    Type.String({
      pattern: '^/[^\\u0000]+$',
      maxLength: 107,
      description: 'Or a Unix socket, by absolute path, instead of host and port.',
    }),
  ),
  type: Type.Optional(
    Type.Union([Type.Literal('tcp'), Type.Literal('udp')], {
      description: '`udp` for QUIC, DNS and the like: the service is restarted then, not handed over (tcp).',
    }),
  ),
  private: Type.Optional(
    Type.Boolean({
      description:
        'Instead of an address: a Unix socket for each instance that only the agent can reach. Probes ask there while two releases run side by side. One named `deployctl` speaks with the library.',
    }),
  ),
})
export type SocketSpec = Static<typeof SocketSpec>

/** The private socket over which the agent and the library talk. */
export const controlSocket = 'deployctl'

/** fd 9 is what a shell can still name while it puts the sockets in order; one number is needed to do so. */
const mostWithPrivate = 6

/** Those of a host, which all instances share. */
export const publicSockets = (sockets: readonly SocketSpec[] = []): SocketSpec[] =>
  sockets.filter((socket) => socket.private !== true)

export const privateSocket = (sockets: readonly SocketSpec[] = []): SocketSpec | null =>
  sockets.find((socket) => socket.private === true) ?? null

/**
 * The sockets of a release in an environment, as they are passed on: the private one last, since many
 * programs take the first for theirs.
 */
export function orderedSockets(
  { sockets = [] }: { sockets?: readonly SocketSpec[] },
  own: readonly SocketSpec[] = [],
): SocketSpec[] {
  const here = sockets.map((socket) => own.find(({ name }) => name === socket.name) ?? socket)
  const last = privateSocket(here)
  return [...publicSockets(here), ...(last ? [last] : [])]
}

/** What the schema cannot say of sockets; null when they are well. */
export function socketProblem(sockets: readonly SocketSpec[]): string | null {
  if (new Set(sockets.map(({ name }) => name)).size !== sockets.length)
    return 'two of run.sockets have the same name'
  for (const { name, host, port, path, type, private: isPrivate } of sockets) {
    const hasAddress = host !== undefined || port !== undefined || path !== undefined
    if (isPrivate === true && (hasAddress || type === 'udp'))
      return `the private socket "${name}" has no address of its own to say`
    if (isPrivate !== true && (path === undefined) === (port === undefined))
      return `the socket "${name}" needs either a port or a path`
    if (type === 'udp' && path !== undefined) return `the udp socket "${name}" needs a port, not a path`
    if (name === controlSocket && isPrivate !== true)
      return `a socket named "${name}" is the one of the library: it must be private`
  }
  const hasPrivate = privateSocket(sockets) !== null
  if (hasPrivate && sockets.length - publicSockets(sockets).length > 1)
    return 'only one of run.sockets can be private'
  if (hasPrivate && sockets.length > mostWithPrivate)
    return `beside a private socket there can be ${mostWithPrivate - 1} others`
  return null
}
