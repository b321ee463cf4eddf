import { sha256Hex } from '../documents/document.ts'
import { DeployError } from '../errors.ts'
import type { Environment } from '../formats/order.ts'
import type { Registration } from '../formats/registration.ts'
import { serviceDefaults, type LimitSpec, type RunSpec } from '../formats/service-spec.ts'
import { orderedSockets, privateSocket, type SocketSpec } from '../formats/sockets.ts'
import type { HostFacts } from './facts.ts'
import { planFiles, type FileStep, type Problem } from './managed-files.ts'
import type { Step } from './steps.ts'
import { fill } from './fill.ts'
import type { Templates } from './templates.ts'
import { unitNames } from './unit-names.ts'

const units = '/etc/systemd/system'
const defaultOpenFiles = 65_536
/** The first systemd whose pauses between restarts grow. */
const growingRestarts = 254

/**
 * What root is asked to agree to for a service.
 * @param user a system user that exists; null for one that systemd makes
 * @throws DeployError E_CONFIG_INVALID for what a unit cannot say
 */
export function registrationOf(
  service: string,
  run: RunSpec,
  environment: Pick<Environment, 'sockets'>,
  user: string | null,
): Registration {
  const sockets = orderedSockets(run, environment.sockets)
  for (const socket of sockets) listenLines(service, socket)
  if (user === 'root') throw refuse('a service never runs as root')
  return {
    spec: 'deployctl/service/v1',
    service,
    user: user === null ? { name: userOf(service), dynamic: true } : { name: user, dynamic: false },
    sockets,
    stop: {
      signal: run.stop?.signal ?? serviceDefaults.stopSignal,
      seconds: run.stop?.seconds ?? serviceDefaults.stopSeconds,
    },
    limits: run.limits ?? {},
  }
}

const refuse = (detail: string) =>
  new DeployError('E_CONFIG_INVALID', { file: 'deploy.yaml', line: 1, column: 1, detail })

/** Of at most 31 characters that a user's name may have. */
function userOf(service: string): string {
  const plain = `svc-${service.replaceAll(/[^a-z0-9-]/g, '-')}`
  if (plain.length <= 31) return plain
  return `${plain.slice(0, 24)}-${sha256Hex(service).slice(0, 6)}`
}

/** Where systemd makes the sockets that only the agent reaches; as the agent itself looks for them. */
export const privateDirectory = '/var/lib/deployctl/private'

/** One line, or one a slot. */
function listenLines(service: string, socket: SocketSpec): string[] {
  if (socket.private === true)
    return ['a', 'b'].map((slot) => `ListenStream=${privateDirectory}/${service}.${slot}`)
  const line = listenLine(socket)
  return [socket.type === 'udp' ? line.replace('ListenStream=', 'ListenDatagram=') : line]
}

/** Only what cannot end a line or begin a specifier of systemd. */
function listenLine({ name, host = '0.0.0.0', port = 0, path }: SocketSpec): string {
  if (path !== undefined) {
    if (!/^\/[A-Za-z0-9/._-]+$/.test(path))
      throw refuse(`the path of socket "${name}" has unusual characters`)
    return `ListenStream=${path}`
  }
  if (port === 0) throw refuse(`the socket "${name}" needs a port of its own: systemd picks none`)
  const address = host === 'localhost' ? '127.0.0.1' : host
  if (!/^[0-9a-fA-F.:]+$/.test(address))
    throw refuse(`the socket "${name}" needs an IP address, not "${host}"`)
  return `ListenStream=${address.includes(':') ? `[${address}]` : address}:${port}`
}

function limitLines({ memoryMegabytes, cpuPercent, tasks, openFiles = defaultOpenFiles }: LimitSpec): string {
  return [
    memoryMegabytes !== undefined && `MemoryMax=${memoryMegabytes}M`,
    cpuPercent !== undefined && `CPUQuota=${cpuPercent}%`,
    tasks !== undefined && `TasksMax=${tasks}`,
    `LimitNOFILE=${openFiles}`,
  ]
    .filter((line) => line !== false)
    .join('\n')
}

export const serviceFilePaths = (service: string) => {
  const names = unitNames(service)
  return {
    slot: `${units}/${names.template}`,
    probe: `${units}/${names.probeTemplate}`,
    socket: `${units}/${names.socket}`,
    holder: `${units}/${names.holder}`,
    polkit: `/etc/polkit-1/rules.d/50-deployctl-${service}.rules`,
    registration: `/etc/deployctl/services/${service}.json`,
  }
}

/** All files of a service on a host. */
export function serviceFiles(registration: Registration, templates: Templates, systemd: number): FileStep[] {
  const { service, user, sockets, stop, limits } = registration
  const names = unitNames(service)
  const paths = serviceFilePaths(service)
  const isListening = sockets.length > 0
  const held = `Requires=${names.socket}\nWants=${names.holder}\nAfter=${names.socket} ${names.holder}`
  const growing = `250ms\nRestartSteps=8\nRestartMaxDelaySec=30s`
  const common = {
    SERVICE: service,
    USER: user.name,
    DYNAMIC: user.dynamic ? 'DynamicUser=yes' : '',
    LIMITS: limitLines(limits),
  }
  const values = {
    ...common,
    SANDBOX: fill(templates.sandbox, common).trimEnd(),
    TEMPLATE: names.template,
    SOCKET: names.socket,
    HOLDER: names.holder,
    LISTEN: sockets.flatMap((socket) => listenLines(service, socket)).join('\n'),
    HELD: isListening ? held : '',
    SOCKETS: isListening ? `Sockets=${names.socket}` : '',
    RESTART: systemd >= growingRestarts ? growing : '1s',
    SIGNAL: stop.signal,
    SECONDS: String(stop.seconds),
    PATTERN: service.replaceAll('.', String.raw`\.`),
  }
  const file = (path: string, template: string): FileStep => ({
    do: 'file',
    path,
    mode: 0o644,
    content: fill(template, values),
  })
  return [
    file(paths.slot, templates.slotUnit),
    file(paths.probe, templates.probeUnit),
    ...(isListening
      ? [file(paths.socket, templates.socketUnit), file(paths.holder, templates.holderUnit)]
      : []),
    file(paths.polkit, templates.polkit),
    {
      do: 'file',
      path: paths.registration,
      mode: 0o644,
      content: `${JSON.stringify(registration, null, 2)}\n`,
    },
  ]
}

/** The one-time privileged part of a service; nothing at all when it is all there already. */
export function planService(
  facts: HostFacts,
  registration: Registration,
  templates: Templates,
): { steps: Step[]; problems: Problem[] } {
  const { service, sockets, user } = registration
  const names = unitNames(service)
  const files = planFiles(facts, serviceFiles(registration, templates, facts.systemd ?? 0))
  const others = facts.services.filter((other) => other.service !== service)
  const clashes = others.flatMap((other) => clash(registration, other))
  const before = facts.services.find((known) => known.service === service)
  const isMoved =
    before !== undefined &&
    before.sockets.length > 0 &&
    JSON.stringify(before.sockets) !== JSON.stringify(sockets)
  const isOpen = sockets.length === 0 || [names.socket, names.holder].every((unit) => facts.active.has(unit))
  const isDone = files.steps.length === 0 && isOpen
  const moved: Step = { do: 'run', argv: ['systemctl', 'stop', names.holder, names.socket] }
  const opened: Step[] = [
    { do: 'run', argv: ['systemctl', 'enable', '--now', names.socket] },
    { do: 'run', argv: ['systemctl', 'start', names.holder] },
  ]
  const started: Step = { do: 'run', argv: ['sh', '/usr/lib/deployctl/boot.sh'] }
  const all: Step[] = [
    { do: 'directory', path: `/etc/deployctl/secrets/${service}`, mode: 0o700 },
    ...(privateSocket(sockets) ? [privateStep] : []),
    { do: 'seed', path: `/etc/deployctl/services/${service}.env`, mode: 0o600, content: envFile(service) },
    ...(isMoved ? [moved] : []),
    ...files.steps,
    { do: 'run', argv: ['systemctl', 'daemon-reload'] },
    ...(sockets.length > 0 ? opened : []),
    // The slots ended with their sockets: what is committed comes up again on the new ones.
    ...(isMoved ? [started] : []),
  ]
  const steps = isDone ? [] : all
  const missing = user.dynamic ? [] : missingUser(facts, user.name)
  return { steps, problems: [...files.problems, ...clashes, ...missing] }
}

/** Nobody but the agent gets to what is in it: its group has no other member that could. */
const privateStep: Step = { do: 'directory', path: privateDirectory, mode: 0o710, group: 'deployctl' }

const envFile = (service: string) =>
  `# Values for ${service} that never leave this host: NAME=value, a line each. Only root reads this file.\n`

function clash(own: Registration, other: Registration): Problem[] {
  const taken = new Set(other.sockets.flatMap((socket) => listenLines(other.service, socket)))
  return own.sockets
    .flatMap((socket) => listenLines(own.service, socket))
    .filter((line) => taken.has(line))
    .map((line) => ({
      what: `${line.replace(/^Listen[A-Za-z]+=/, '')} belongs to the service ${other.service}`,
      remedy: 'Give the socket another port in deploy.yaml (environments.*.sockets).',
    }))
}

function missingUser({ accounts }: HostFacts, name: string): Problem[] {
  if (accounts.includes(name)) return []
  return [{ what: `there is no user ${name}`, remedy: `Make it first: useradd --system ${name}` }]
}
