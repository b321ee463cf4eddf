import { once } from 'node:events'
import { DeployError } from '../../shared/errors.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import { siteOf } from '../client/open-client.ts'

const defaultPort = '8700'
const linkHours = 12

export const serveCommand: Command = {
  name: 'serve',
  summary: 'be a controller: run schedules, watch the fleet, show the dashboard',
  flags: [
    { flag: '--port <number>', summary: 'where to listen; 0 takes a free one', default: defaultPort },
    { flag: '--listen <address>', summary: 'on which address', default: '127.0.0.1' },
    {
      flag: '--url <url>',
      summary: 'how people reach it through a reverse proxy: https://deploy.example.com; for links as well',
    },
    { flag: '--projects <dirs>', summary: 'projects beside the one here, separated by commas' },
    { flag: '--no-link', summary: 'do not print a link that lets in whoever follows it' },
  ],
  examples: ['deployctl serve', 'deployctl serve --port 9000 --projects ../shop,../blog'],
  async run(parsed, context) {
    const { out } = context
    const [{ makeServer }, { Daemon }, { readPages }] = await Promise.all([
      import('../server/app.ts'),
      import('../daemon/daemon.ts'),
      import('../server/pages.ts'),
    ])
    const { port, url, names } = reachOf(parsed)
    const dirs = [context.cwd, ...(text(parsed, 'projects')?.split(',').filter(Boolean) ?? [])]
    const say = (line: string) => {
      out.note(`${new Date().toISOString()}  ${line}`)
      out.event({ type: 'log', line })
    }
    const site = siteOf(context, { dirs, url, say })
    using history = site.history
    const daemon = new Daemon(site)
    const app = await makeServer({ daemon, pages: await readPages(), hosts: names })
    const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
    const host = text(parsed, 'listen') ?? ''
    const address = await app.listen({ host, port }).catch((cause: unknown): never => {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new DeployError('E_LISTEN', { address: `${host}:${port}`, why }, { cause })
    })
    site.url ??= address
    daemon.start()
    const link = parsed.flags['link'] === false ? null : linkTo(site.url, history.access)
    out.event({ type: 'serving', address, url: site.url, link })
    out.line(`the dashboard: ${link ?? site.url}`)
    if (link !== null) out.line(`  (the link lets in whoever follows it, for ${linkHours} hours)`)
    await stopped
    say('ending; what is under way is seen through')
    await app.close()
    await daemon.stop()
  },
}

/** @throws DeployError E_USAGE */
function reachOf(parsed: Parsed): { port: number; url: string | null; names: string[] } {
  const port = Number(text(parsed, 'port') ?? defaultPort)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new DeployError('E_USAGE', { detail: '--port is a number from 0 to 65535.' })
  const given = text(parsed, 'url')
  if (given === undefined) return { port, url: null, names: [] }
  const url = URL.parse(given)
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/')
    throw new DeployError('E_USAGE', { detail: '--url is like https://deploy.example.com, without a path.' })
  return { port, url: url.origin, names: [url.hostname.toLowerCase()] }
}

function linkTo(url: string, access: { addToken: AddToken }): string {
  const expires = new Date(Date.now() + linkHours * 3_600_000).toISOString()
  // What stands behind # stays in the browser: no log and no server sees it.
  return `${url}/#token=${access.addToken('link', 'admin', expires).secret}`
}

type AddToken = (name: string, role: 'admin', expires: string) => { secret: string }
