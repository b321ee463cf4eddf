import type { HostFacts } from './facts.ts'
import { serviceFilePaths } from './plan-service.ts'
import type { Step } from './steps.ts'
import { unitNames } from './unit-names.ts'

const run = (...argv: string[]): Step => ({ do: 'run', argv })
/** Taking away what is gone already is no failure. */
const quietly = (...argv: string[]): Step => ({ do: 'run', argv, mayFail: true })
const remove = (path: string): Step => ({ do: 'remove', path })

/** Takes a service off a host. What it kept in its state directory stays. */
export function planServiceRemoval(service: string): Step[] {
  const names = unitNames(service)
  const units = [names.slot('a'), names.slot('b'), names.socket, names.holder]
  return [
    quietly('systemctl', 'disable', '--now', ...units),
    ...Object.values(serviceFilePaths(service)).map(remove),
    remove(`/etc/deployctl/services/${service}.env`),
    remove(`/etc/deployctl/secrets/${service}`),
    remove(`/var/lib/deployctl/slots/${service}`),
    run('systemctl', 'daemon-reload'),
  ]
}

/** Takes all of ours off a host, and says what it leaves. */
export function planRemoval(facts: HostFacts): { steps: Step[]; left: string[] } {
  const services = facts.services.map(({ service }) => service)
  const ofServices = new Set(services.flatMap((service) => Object.values(serviceFilePaths(service))))
  const ours = Object.keys(facts.installed?.files ?? {}).filter((path) => !ofServices.has(path))
  const users = ['deploy-agent', 'deployctl'].filter((name) => facts.accounts.includes(name))
  const steps = [
    quietly('systemctl', 'disable', '--now', 'deploy-agent.service', 'deploy-boot.service'),
    ...services.flatMap(planServiceRemoval),
    ...ours.map(remove),
    run('systemctl', 'daemon-reload'),
    quietly('systemctl', 'try-reload-or-restart', facts.sshUnit ?? 'ssh.service'),
    // Whoever is connected.
    quietly('pkill', '-KILL', '-u', 'deployctl'),
    ...users.map((name): Step => ({ do: 'no-user', name })),
    remove('/var/lib/deployctl'),
    remove('/etc/deployctl'),
    remove('/usr/lib/deployctl'),
  ]
  return {
    steps,
    left: services.map((service) => `/var/lib/deploy-services/${service}: what ${service} kept`),
  }
}
