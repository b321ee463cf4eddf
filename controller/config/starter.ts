import { parseObject } from '../../shared/documents/parse-object.ts'
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { stringify } from 'yaml'

/** What a directory seems to hold. `argv` is our best guess at how it is started. */
export type Found = {
  kind: string
  service: string
  argv: string[]
  build: { command?: string[]; output?: string; exclude?: string[] } | null
  hasSocket: boolean
  /** Where the program listens, as far as its source says. */
  port: number
}

const defaultPort = 8080
const nodeKind = 'a Node project'

/** Looks at what is there, never runs it. */
export async function detectProject(dir: string): Promise<Found> {
  const names = new Set(await readdir(dir))
  const service = serviceName(basename(dir))
  const read = (name: string) => readFile(join(dir, name), 'utf8')
  if (names.has('package.json')) {
    const found = nodeProject(await read('package.json'), names, service)
    return { ...found, port: portIn(await read(found.argv[1] ?? '').catch(() => '')) }
  }
  if (names.has('mix.exs')) return mixProject(await read('mix.exs'), service)
  if (names.has('Procfile')) return procfile(await read('Procfile'), service)
  if (names.has('index.html')) return staticSite(service)
  return {
    kind: 'nothing I know: correct run.argv',
    service,
    argv: ['./start'],
    build: null,
    hasSocket: true,
    port: defaultPort,
  }
}

function nodeProject(text: string, names: ReadonlySet<string>, service: string): Found {
  const manifest = parseObject(text)
  const scripts = parseObject(JSON.stringify(manifest['scripts'] ?? {}))
  const start = typeof scripts['start'] === 'string' ? scripts['start'].split(/\s+/) : []
  const main = typeof manifest['main'] === 'string' ? manifest['main'] : undefined
  const file =
    ['server.js', 'index.js', 'app.js', 'src/server.js'].find((name) => names.has(name)) ?? 'server.js'
  // A script that needs a shell or npm cannot be run as it stands.
  const isPlain = start[0] === 'node' && start.every((word) => /^[\w./@=:-]+$/.test(word))
  const own =
    typeof manifest['name'] === 'string' ? serviceName(manifest['name'].replace(/^@[^/]+\//, '')) : service
  return {
    kind: nodeKind,
    service: own,
    argv: isPlain ? start : ['node', main ?? file],
    build: scripts['build'] === undefined ? null : { command: ['npm', 'run', 'build'] },
    hasSocket: true,
    port: defaultPort,
  }
}

function mixProject(text: string, service: string): Found {
  const app = /app:\s*:([a-z0-9_]+)/.exec(text)?.[1] ?? service
  return {
    kind: 'an Elixir project',
    service: serviceName(app),
    argv: [`bin/${app}`, 'start'],
    build: {
      command: ['sh', '-c', 'MIX_ENV=prod mix release --overwrite'],
      output: `_build/prod/rel/${app}`,
    },
    hasSocket: false,
    port: defaultPort,
  }
}

function procfile(text: string, service: string): Found {
  const web = /^web:\s*(.+)$/m.exec(text)?.[1]?.trim() ?? './start'
  const isPlain = /^[\w./@=: -]+$/.test(web)
  return {
    kind: 'a Procfile',
    service,
    argv: isPlain ? web.split(/\s+/) : ['sh', '-c', web],
    build: null,
    hasSocket: true,
    port: defaultPort,
  }
}

function staticSite(service: string): Found {
  return {
    kind: 'a static site; python3 serves it until you name a better server',
    service,
    argv: ['python3', '-m', 'http.server', '8080'],
    build: null,
    hasSocket: false,
    port: defaultPort,
  }
}

const serviceName = (name: string) =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63) || 'service'

/** The port of `listen(3000)` or of `process.env.PORT || 3000`. */
function portIn(source: string): number {
  const found = /(?:\blisten\(\s*|\bPORT['"\])]*\s*(?:\|\||\?\?)\s*)['"]?(\d{2,5})\b/.exec(source)?.[1]
  const port = Number(found ?? defaultPort)
  return port >= 1024 && port <= 65_535 ? port : defaultPort
}

const nodeSockets = (port: number) => [
  `  # Node loads deployctl's library before your program: who listens on ${port}, or on process.env.PORT, gets`,
  '  # the socket below and hands it over to the next release, with no request lost.',
  '  adopt: true',
  '  sockets:',
  `    - { name: http, port: ${port} }`,
  '    # Here the agent asks a new release whether it is well, before it takes traffic.',
  '    - { name: deployctl, private: true }',
]

const plainSockets = (port: number) => [
  '  # The host keeps this socket open and passes it as file descriptor 3 (LISTEN_FDS): the next release takes',
  '  # it over while the old one finishes what it was asked.',
  '  sockets:',
  `    - { name: http, port: ${port} }`,
]

/** A first deploy.yaml, with what one is likely to change next to it. */
export function starterConfig({ kind, service, argv, build, hasSocket, port }: Found): string {
  const list = (words: readonly string[]) =>
    stringify([...words], { collectionStyle: 'flow', lineWidth: 0 }).trim()
  const lines = [`service: ${service}`]
  if (build) {
    lines.push('build:')
    if (build.command) lines.push(`  command: ${list(build.command)}`)
    if (build.output) lines.push(`  output: ${build.output}`)
  } else lines.push('# build:', '#   command: [npm, run, build]', '#   exclude: [test/, "*.md"]')
  lines.push('run:', `  argv: ${list(argv)}`)
  if (hasSocket) {
    lines.push(...(kind === nodeKind ? nodeSockets(port) : plainSockets(port)))
    lines.push('health:', '  probes:', '    - { type: http, socket: http, path: / }')
  } else lines.push('health:', '  probes:', '    - { type: tcp, port: 8080 }')
  lines.push('environments:', '  production:', '    hosts: {}', '    # env: { LOG_LEVEL: info }')
  return `${lines.join('\n')}\n`
}
