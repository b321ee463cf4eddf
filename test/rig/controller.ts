import type { FastifyInstance } from 'fastify'
import { siteOf } from '../../controller/client/open-client.ts'
import { makeOutput } from '../../controller/cli/output.ts'
import { Daemon } from '../../controller/daemon/daemon.ts'
import type { AccessRole } from '../../controller/history/access.ts'
import { makeServer, type ServerOptions } from '../../controller/server/app.ts'
import type { Home } from './host.ts'

/** A controller in this process, with a clock of our own where one is given. */
export type TestController = AsyncDisposable & {
  daemon: Daemon
  app: FastifyInstance
  /** Where it listens, once it does. */
  listen: () => Promise<string>
  token: (role: AccessRole) => string
  said: string[]
}

export async function makeController(
  { configDir, dir, env }: Pick<Home, 'configDir' | 'dir' | 'env'>,
  project: string | null,
  options: Partial<Omit<ServerOptions, 'daemon'>> & { now?: () => number } = {},
): Promise<TestController> {
  const said: string[] = []
  const { now, ...server } = options
  const context = {
    cwd: project ?? dir,
    env,
    configDir,
    cacheDir: `${env['DEPLOYCTL_HOME']}/cache`,
    dataDir: `${env['DEPLOYCTL_HOME']}/data`,
    out: makeOutput(true),
  }
  const site = siteOf(context, {
    dirs: project === null ? [] : [project],
    say: (line) => void said.push(line),
  })
  const daemon = new Daemon(site, now)
  const app = await makeServer({ daemon, pages: new Map(), hosts: [], ...server })
  return {
    daemon,
    app,
    said,
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    token: (role) => site.history.access.addToken(`the-${role}`, role, null).secret,
    async [Symbol.asyncDispose]() {
      await app.close()
      await daemon.stop()
      site.history[Symbol.dispose]()
    },
  }
}
