import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { parserOf, Type } from '../../shared/schema.ts'
import { Hello, ServiceState, apiVersion } from '../../shared/wire/api.ts'
import type { HostTarget } from '../config/target.ts'
import type { History } from '../history/history.ts'
import { ChannelClient } from '../transport/channel-client.ts'
import { connectHost, type ConnectOptions } from '../transport/connect.ts'

const helloParser = parserOf(Hello)
/** What every version says, whatever else it says. */
const versionParser = parserOf(Type.Object({ api: Type.Integer(), agent: Type.String({ maxLength: 64 }) }))
const stateParser = parserOf(ServiceState)
const confirmedParser = parserOf(Type.Object({ confirmed: Type.Literal(true) }))

export type SessionOptions = ConnectOptions & { fleet: string; history: History }

/** A host that was reached and is who it should be. */
export type Session = { target: HostTarget; client: ChannelClient; hello: Hello }

/**
 * Connects and checks that the host speaks our language, belongs to our fleet and is the one we know:
 * its receipt key is pinned when it is first seen.
 * @throws DeployError those of connectHost, E_API_VERSION, E_WRONG_FLEET, E_HOST_IDENTITY
 */
export async function openSession(target: HostTarget, options: SessionOptions): Promise<Session> {
  const client = new ChannelClient(await connectHost(target, options), target.name)
  try {
    const hello = await client.get('/v1/hello', versionParser)
    const { api, agent } = hello
    if (api !== apiVersion)
      throw new DeployError('E_API_VERSION', { host: target.name, agent, theirs: api, ours: apiVersion })
    if (!helloParser.check(hello))
      throw new DeployError('E_HOST_ANSWER', { host: target.name, why: 'its hello has the wrong shape' })
    checkIdentity(target.name, hello, options)
    return { target, client, hello }
  } catch (error) {
    client.close()
    throw error
  }
}

function checkIdentity(name: string, hello: Hello, { fleet, history }: SessionOptions) {
  const { host, receiptKey } = hello
  if (hello.fleet !== fleet)
    throw new DeployError('E_WRONG_FLEET', { own: hello.fleet, other: fleet, what: 'push' })
  const pinned =
    host === name
      ? history.pinHost(fleet, name, receiptKey, new Date().toISOString())
      : history.pinnedKey(fleet, name)
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

/** @param service a valid name, which needs no escaping in a path */
export function readState({ client }: Session, service: string): Promise<ServiceState> {
  return client.get(`/v1/services/${service}`, stateParser)
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
