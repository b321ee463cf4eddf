import { DeployError } from '../../shared/errors.ts'
import type { Root } from '../../shared/formats/root.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { parserOf, Type } from '../../shared/schema.ts'
import { CodeReport, Hello, RootsAnswer, ServiceState, apiVersion } from '../../shared/wire/api.ts'
import type { HostTarget } from '../config/target.ts'
import type { History } from '../history/history.ts'
import type { Fleet } from '../identity/fleet.ts'
import { ChannelClient } from '../transport/channel-client.ts'
import { connectHost, type ConnectOptions } from '../transport/connect.ts'

const helloParser = parserOf(Hello)
/** What every version says, whatever else it says. */
const versionParser = parserOf(Type.Object({ api: Type.Integer(), agent: Type.String({ maxLength: 64 }) }))
const stateParser = parserOf(ServiceState)
const codeParser = parserOf(CodeReport)
const confirmedParser = parserOf(Type.Object({ confirmed: Type.Literal(true) }))
const rootsParser = parserOf(RootsAnswer)
const followedParser = parserOf(Type.Pick(Hello, ['root']))

export type SessionOptions = ConnectOptions & {
  fleet: Fleet
  history: History
  /** Told when a host knew a newer root, which counts here from then on. */
  onNewRoot?: (host: string, before: Root, after: Root) => void
}

/** A host that was reached and is who it should be. */
export type Session = { target: HostTarget; client: ChannelClient; hello: Hello }

/**
 * Connects and checks that the host speaks our language, belongs to our fleet and is the one we know:
 * its receipt key is pinned when it is first seen. Whichever side knows newer roots brings the other on.
 * @throws DeployError those of connectHost, E_API_VERSION, E_WRONG_FLEET, E_HOST_IDENTITY, E_ROOT_FORK,
 *   and those of followRoot
 */
export async function openSession(target: HostTarget, options: SessionOptions): Promise<Session> {
  const client = new ChannelClient(await connectHost(target, options), target.name)
  try {
    const session = { target, client, hello: await readHello(client, target.name) }
    checkIdentity(target.name, session.hello, options)
    await agreeOnRoot(session, options)
    return session
  } catch (error) {
    client.close()
    throw error
  }
}

/** @throws DeployError E_API_VERSION, E_HOST_ANSWER */
export async function readHello(client: ChannelClient, name: string): Promise<Hello> {
  const hello = await client.get('/v1/hello', versionParser)
  const { api, agent } = hello
  if (api !== apiVersion)
    throw new DeployError('E_API_VERSION', { host: name, agent, theirs: api, ours: apiVersion })
  if (!helloParser.check(hello))
    throw new DeployError('E_HOST_ANSWER', { host: name, why: 'its hello has the wrong shape' })
  return hello
}

function checkIdentity(name: string, hello: Hello, { fleet, history }: SessionOptions) {
  const { host, receiptKey } = hello
  const own = fleet.root.fleet
  if (hello.fleet !== own)
    throw new DeployError('E_WRONG_FLEET', { own: hello.fleet, other: own, what: 'push' })
  const pinned =
    host === name
      ? history.pinHost(own, name, receiptKey, new Date().toISOString())
      : history.pinnedKey(own, name)
  if (host === name && pinned === receiptKey) return
  throw new DeployError('E_HOST_IDENTITY', {
    host: name,
    name,
    given: host,
    key: fingerprintOf(publicKeyBlob(receiptKey)),
    known: name,
    knownKey: pinned === null ? 'no key yet' : fingerprintOf(publicKeyBlob(pinned)),
  })
}

/**
 * Nobody has to be trusted for this: each side checks every root by the one before it.
 * @throws DeployError E_ROOT_FORK, and those of followRoot
 */
export async function agreeOnRoot(
  { client, hello, target }: Session,
  { fleet, onNewRoot }: Pick<SessionOptions, 'fleet' | 'onNewRoot'>,
): Promise<void> {
  const { version } = hello.root
  if (version > fleet.root.version) {
    const before = fleet.root
    const isNew = fleet.adopt((await readRoots(client, before.version)).roots, now())
    if (isNew) onNewRoot?.(target.name, before, fleet.root)
  }
  const ours = fleet.root.version
  if (version < ours) {
    const body = JSON.stringify({ roots: fleet.after(version) } satisfies RootsAnswer)
    hello.root = (await client.post('/v1/roots', followedParser, 'application/json', body)).root
  }
  if (hello.root.version === fleet.root.version && hello.root.digest !== fleet.digest)
    throw new DeployError('E_ROOT_FORK', { host: target.name, version: ours })
}

export const readRoots = (client: ChannelClient, after: number): Promise<RootsAnswer> =>
  client.get(`/v1/roots?after=${after}`, rootsParser)

const now = () => new Date().toISOString()

/** @param service a valid name, which needs no escaping in a path */
export function readState({ client }: Session, service: string): Promise<ServiceState> {
  return client.get(`/v1/services/${service}`, stateParser)
}

/** What its running program says of its code. @param service a valid name */
export async function readCode({ client }: Session, service: string): Promise<CodeReport['code']> {
  return (await client.get(`/v1/services/${service}/code`, codeParser)).code
}

/** Over a new connection: that the old one still works proves nothing about the next. */
export async function confirm(
  target: HostTarget,
  opId: string,
  options: ConnectOptions,
): Promise<{ sent: number; received: number }> {
  const client = new ChannelClient(await connectHost(target, options), target.name)
  try {
    await client.post(`/v1/deployments/${opId}/confirm`, confirmedParser, 'application/json', '{}')
    return client.bytes()
  } finally {
    client.close()
  }
}
