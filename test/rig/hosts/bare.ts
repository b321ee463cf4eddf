import { setTimeout as delay } from 'node:timers/promises'
import { bootHosts, type TestHost, type TestHosts } from './hosts.ts'
import { makeLaptop, type Laptop } from './laptop.ts'

export const agentUnit = '/etc/systemd/system/deploy-agent.service'
/** Where the service of the test project listens. */
export const url = 'http://10.77.0.11:8080/'
/** Makes the server of `bare` a host. */
export const addWeb1 = ['host', 'add', 'root@10.77.0.11', '--name', 'web1', '--yes'] as const

/** A server that was never touched and has nothing of this project, and a person with a project. */
export async function bare(): Promise<TestHosts & { web1: TestHost; laptop: Laptop }> {
  const rig = await bootHosts(['web1'], [new URL('../../..', import.meta.url).pathname.replace(/\/$/, '')])
  const [web1] = rig.hosts
  if (!web1) throw new Error('no host')
  return { ...rig, web1, laptop: await makeLaptop(rig) }
}

export async function eventually(what: () => Promise<boolean>, seconds = 30): Promise<void> {
  for (const deadline = performance.now() + seconds * 1000; performance.now() < deadline; await delay(200))
    if (await what().catch(() => false)) return
  throw new Error(`not within ${seconds} s: ${what.toString()}`)
}
