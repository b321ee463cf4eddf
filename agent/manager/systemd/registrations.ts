import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeDocument } from '../../../shared/documents/document.ts'
import { DeployError } from '../../../shared/errors.ts'
import { registrationParser, type Registration } from '../../../shared/formats/registration.ts'
import type { SocketSpec } from '../../../shared/formats/sockets.ts'
import type { InstanceSpec } from '../manager.ts'

/** @throws DeployError E_SERVICE_UNREGISTERED, E_DOCUMENT_INVALID */
export function readRegistration(dir: string, service: string): Registration {
  const file = join(dir, 'services', `${service}.json`)
  if (!existsSync(file)) throw new DeployError('E_SERVICE_UNREGISTERED', { service })
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (registrationParser.check(value)) return value
  const why = registrationParser.issues(value)[0]?.message ?? 'it has the wrong shape'
  throw new DeployError('E_DOCUMENT_INVALID', { what: file, why })
}

/**
 * What a release asks for must be what root agreed to, since the units say it.
 * @throws DeployError E_SERVICE_REGISTRATION
 */
export function checkRegistration(registration: Registration, spec: InstanceSpec): void {
  const { service } = spec
  const compare = (what: string, registered: unknown, wanted: unknown) => {
    const same = encodeDocument({ registered }).equals(encodeDocument({ registered: wanted }))
    if (same) return
    const show = (value: unknown) => `${what} ${JSON.stringify(value)}`
    throw new DeployError('E_SERVICE_REGISTRATION', {
      service,
      registered: show(registered),
      wanted: show(wanted),
    })
  }
  compare('sockets', registration.sockets.map(describeSocket), spec.sockets.map(describeSocket))
  compare('limits', registration.limits, spec.limits)
  // How long connections end is between the agent and the library.
  const { signal, seconds } = spec.stop
  compare('the stop', registration.stop, { signal, seconds })
}

const describeSocket = ({ name, host, port, path, type, private: isPrivate }: SocketSpec) =>
  isPrivate === true
    ? `${name} (private)`
    : `${name}=${path ?? `${host ?? '0.0.0.0'}:${port}${type === 'udp' ? '/udp' : ''}`}`
