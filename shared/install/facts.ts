import { Strict, Type, parserOf, type Static } from '../schema.ts'
import { registrationParser, type Registration } from '../formats/registration.ts'
import { Digest } from '../formats/names.ts'

/** /etc/deployctl/installed.json: the files that setting up wrote, so that a changed one is noticed. */
export const Installed = Strict({
  spec: Type.Literal('deployctl/installed/v1'),
  files: Type.Record(
    Type.String({ pattern: '^/', maxLength: 4096 }),
    /** `was` is what stood there before: written first, so that an interruption leaves no foreign file. */
    Strict({ sha256: Digest, was: Type.Union([Digest, Type.Null()]) }),
  ),
})
export type Installed = Static<typeof Installed>
export const installedParser = parserOf(Installed)

/** What systemd/look.sh says of a host. */
export type HostFacts = {
  host: string
  kernel: string
  /** As `uname -m` says. */
  arch: string
  os: string
  /** Version of the GNU C library; null for another one. */
  glibc: number | null
  systemd: number | null
  polkit: number | null
  /** Programs and libraries that were found. */
  has: Set<string>
  sshUnit: string | null
  freeKilobytes: number
  /** `versions/ID`, as the links point. */
  current: string | null
  /** The same of a controller; null where there is none. */
  controller: string | null
  /** Ids of the agents that are wholly there. */
  versions: string[]
  /** Units of ours that run, and that start at boot. */
  active: Set<string>
  enabled: Set<string>
  /** What the host is called and whom it trusts; null before it is set up. */
  name: string | null
  fleet: string | null
  installed: Installed | null
  accounts: string[]
  services: Registration[]
  /** Lines of the administrator's own authorized_keys. */
  logins: string[]
  /** Lines of what lets people in as deployctl. */
  keys: string[]
  /** sha256 by path; `link` or `other` for what is no plain file. */
  files: Map<string, string>
}

/** @param text lines of `name=value`, some names many times; unknown ones are passed over */
export function parseFacts(text: string): HostFacts {
  const values = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    if (equals < 0) continue
    const name = line.slice(0, equals)
    values.set(name, [...(values.get(name) ?? []), line.slice(equals + 1)])
  }
  const all = (name: string) => values.get(name) ?? []
  const one = (name: string) => all(name)[0] || null
  const number = (name: string) => {
    const found = Number.parseFloat(one(name) ?? '')
    return Number.isNaN(found) ? null : found
  }
  const [, glibc] = /^glibc ([\d.]+)/.exec(one('libc') ?? '') ?? []
  const installed = parseJson(one('installed') ?? '')
  const settings = parseJson(one('settings') ?? '')
  return {
    host: one('host') ?? '',
    kernel: one('kernel') ?? '',
    arch: one('arch') ?? '',
    os: one('os') ?? 'an unknown system',
    glibc: glibc === undefined ? null : Number.parseFloat(glibc),
    systemd: number('systemd'),
    polkit: polkitNumber(one('polkit')),
    has: new Set(all('has')),
    sshUnit: one('sshunit'),
    freeKilobytes: number('free') ?? 0,
    current: one('current'),
    controller: one('controller'),
    versions: all('version'),
    active: new Set(all('active')),
    enabled: new Set(all('enabled')),
    name: isNamed(settings) ? settings.host : null,
    fleet: one('fleet'),
    installed: installedParser.check(installed) ? installed : null,
    accounts: all('account'),
    services: all('service')
      .map(parseJson)
      .filter((value) => registrationParser.check(value)),
    logins: all('login'),
    keys: all('key'),
    files: new Map(
      all('file').map((line) => {
        const space = line.indexOf(' ')
        return [line.slice(space + 1), line.slice(0, space)] as const
      }),
    ),
  }
}

/** polkit counted 0.105, 0.106 … 0.120 and then 121: one row of whole numbers. */
function polkitNumber(version: string | null): number | null {
  const [, old, now] = /^(?:0\.(\d+)|(\d+))/.exec(version ?? '') ?? []
  const found = Number(old ?? now)
  return Number.isNaN(found) ? null : found
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const isNamed = (value: unknown): value is { host: string } =>
  typeof value === 'object' && value !== null && 'host' in value && typeof value.host === 'string'
