import type { HostFacts } from './facts.ts'
import { planFiles, type Problem } from './managed-files.ts'
import { architectures } from './plan-host.ts'
import type { Step } from './steps.ts'

export const controllerUser = 'deploy-controller'
export const controllerHome = '/var/lib/deploy-controller'
export const controllerUnitPath = '/etc/systemd/system/deploy-controller.service'
export const controllerUnit = 'deploy-controller.service'
export const controllerBase = '/usr/lib/deployctl/controller'

const oldestSystemd = 252
const needKilobytes = 400 * 1024
const run = (...argv: string[]): Step => ({ do: 'run', argv })

/** Why a machine cannot be a controller as it is. */
function unfitness({ kernel, arch, systemd, os, glibc, has, versions, freeKilobytes }: HostFacts): Problem[] {
  const problems: Problem[] = []
  const need = (ok: boolean, what: string, remedy: string) => ok || problems.push({ what, remedy })
  need(
    kernel === 'Linux' && systemd !== null && systemd >= oldestSystemd,
    `it has no systemd ${oldestSystemd} (${os})`,
    'Run `deployctl serve` there by a service manager of yours.',
  )
  need(
    architectures[arch] !== undefined,
    `its processor is ${arch || 'unknown'}`,
    'Controllers run on x86_64 and aarch64.',
  )
  need(glibc !== null, 'it has no GNU C library', 'Node does not run there.')
  need(
    has.has('libstdc++.so.6'),
    'libstdc++ is missing',
    'apt-get install libstdc++6, or dnf install libstdc++',
  )
  for (const tool of ['tar', 'gzip', 'useradd']) need(has.has(tool), `${tool} is missing`, `Install ${tool}.`)
  need(
    versions.length > 0 || freeKilobytes >= needKilobytes,
    'there is too little room under /usr',
    `Make room: ${needKilobytes / 1024} MB are needed.`,
  )
  return problems
}

/**
 * What has to be done for a machine to be a controller. It is started later, once it knows its fleet.
 * @param version `VERSION-DIGEST` of the package, unpacked under /usr/lib/deployctl/versions
 */
export function planController(
  facts: HostFacts,
  version: string,
  unit: string,
): { steps: Step[]; problems: Problem[] } {
  const { steps, problems } = planFiles(facts, [
    { do: 'file', path: controllerUnitPath, mode: 0o644, content: unit },
  ])
  const isNew = facts.controller === null || !facts.accounts.includes(controllerUser)
  const account: Step[] = [
    { do: 'group', name: controllerUser },
    {
      do: 'user',
      name: controllerUser,
      group: controllerUser,
      home: controllerHome,
      shell: '/usr/sbin/nologin',
    },
    { do: 'directory', path: '/etc/deployctl', mode: 0o755 },
    { do: 'directory', path: controllerHome, mode: 0o700, owner: controllerUser },
  ]
  const target = `versions/${version}`
  return {
    problems: [...unfitness(facts), ...problems],
    steps: [
      ...(isNew ? account : []),
      ...steps,
      ...(facts.controller === target ? [] : [{ do: 'link' as const, path: controllerBase, target }]),
      ...(steps.length > 0 ? [run('systemctl', 'daemon-reload')] : []),
    ],
  }
}
