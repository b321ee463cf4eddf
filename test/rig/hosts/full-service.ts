import { useFullService } from '../handing-over.ts'
import { startLoad, type Load } from '../load.ts'
import { makeProduct } from '../product.ts'
import { addWeb1, bare } from './bare.ts'

/** A server whose service has the library; v1 runs. Its agent can be made to stand still in any state. */
export async function serverWithFullService() {
  const rig = await bare()
  const { web1, laptop } = rig
  laptop.use(makeProduct(undefined, 'test/fixtures/stalling-agent.ts'))
  await useFullService(laptop.project)
  laptop.edit((text) =>
    text
      .replace('health:', '  stop: { seconds: 5, longConnections: close }\nhealth:')
      .replace('minHealthySeconds: 0.2', 'minHealthySeconds: 0.4'),
  )
  for (const args of [[...addWeb1], ['push']]) {
    const { code, stdout, stderr } = await laptop.cli(...args)
    if (code !== 0) throw new Error(stderr + stdout)
  }
  let number = 1
  return {
    ...rig,
    /** Another version of the project, by its name. */
    next(): string {
      const version = `v${++number}`
      laptop.version(version)
      return version
    },
    load: (mix: Parameters<typeof startLoad>[0]): Load => startLoad(mix, (argv) => rig.spawn(argv)),
    /** Slots that run, a line each. */
    active: async (): Promise<string[]> => {
      const args = ['list-units', '--no-legend', '--plain', '--state=active', 'deploy-echo@*']
      return (await web1.must('systemctl', ...args)).split('\n')
    },
    /** How many processes of the service there are, its children included. */
    processes: async (): Promise<number> =>
      Number((await web1.run('pgrep', '-c', '-f', 'server[.]mjs|sleep 1000')).stdout),
  }
}

/** The kinds of requests besides plain ones. */
export const streams = { large: 2, slow: 2, webSockets: 2, eventStreams: 2 }
