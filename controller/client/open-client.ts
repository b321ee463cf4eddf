import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { text, type Flag, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { Projects } from '../daemon/projects.ts'
import type { Site } from '../daemon/site.ts'
import { History } from '../history/history.ts'
import { answerOf, overHttp, type ControllerClient } from './controller-client.ts'

export const controllerFlag: Flag = {
  flag: '--controller <url>',
  summary: 'the controller; this machine when left out and DEPLOYCTL_CONTROLLER is not set',
}

/** @throws DeployError E_TOKEN */
export async function openClient(parsed: Parsed, context: CliContext): Promise<ControllerClient> {
  const url = text(parsed, 'controller') ?? context.env['DEPLOYCTL_CONTROLLER']
  if (url === undefined) return ownClient(context)
  const token = context.env['DEPLOYCTL_TOKEN']
  if (token === undefined) throw new DeployError('E_TOKEN', { why: 'DEPLOYCTL_TOKEN is not set' })
  return overHttp(url, token)
}

/** What this machine's controller has; the project here is one of its. */
export function siteOf(
  { configDir, cacheDir, dataDir, env, out }: CliContext,
  {
    dirs,
    url = null,
    say = (line) => out.note(line),
  }: { dirs: readonly string[]; url?: string | null; say?: Site['say'] },
): Site {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const history = new History(join(dataDir, 'history.sqlite'))
  const projects = new Projects(dirs, dataDir)
  return { configDir, cacheDir, dataDir, env, history, projects, say, url }
}

/** The same routes, asked within this process: whoever may read the database needs no token. */
async function ownClient(context: CliContext): Promise<ControllerClient> {
  const [{ makeServer }, { Daemon }] = await Promise.all([
    import('../server/app.ts'),
    import('../daemon/daemon.ts'),
  ])
  const site = siteOf(context, { dirs: [context.cwd] })
  const daemon = new Daemon(site)
  const app = await makeServer({ daemon, pages: new Map(), hosts: [], isOwn: true })
  return {
    async call({ method, path, body, stream }) {
      const payload = stream?.content ?? (body === undefined ? undefined : JSON.stringify(body))
      const type = stream?.type ?? (body === undefined ? undefined : 'application/json')
      const response = await app.inject({
        method,
        url: `/api/v1${path}`,
        ...(payload !== undefined && { payload }),
        headers: { host: 'localhost', ...(type !== undefined && { 'content-type': type }) },
      })
      return answerOf(response.statusCode, response.body, 'this machine') as never
    },
    async [Symbol.asyncDispose]() {
      await app.close()
      site.history[Symbol.dispose]()
    },
  }
}
