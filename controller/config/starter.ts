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
}

/** Looks at what is there, never runs it. */
export async function detectProject(dir: string): Promise<Found> {
  const names = new Set(await readdir(dir))
  const service = serviceName(basename(dir))
  const read = (name: string) => readFile(join(dir, name), 'utf8')
  if (names.has('package.json')) return nodeProject(await read('package.json'), names, service)
  if (names.has('mix.exs')) return mixProject(await read('mix.exs'), service)
  if (names.has('Procfile')) return procfile(await read('Procfile'), service)
  if (names.has('index.html')) return staticSite(service)
  return {
    kind: 'nothing I know: correct run.argv',
    service,
    argv: ['./start'],
    build: null,
    hasSocket: true,
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
    kind: 'a Node project',
    service: own,
    argv: isPlain ? start : ['node', main ?? file],
    build: scripts['build'] === undefined ? null : { command: ['npm', 'run', 'build'] },
    hasSocket: true,
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
  }
}

function staticSite(service: string): Found {
  return {
    kind: 'a static site; python3 serves it until you name a better server',
    service,
    argv: ['python3', '-m', 'http.server', '8080'],
    build: null,
    hasSocket: false,
  }
}

const serviceName = (name: string) =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63) || 'service'

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** A first deploy.yaml, with what one is likely to change next to it. */
export function starterConfig({ service, argv, build, hasSocket }: Found): string {
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
    lines.push(
      '  # The host keeps this socket open and passes it as file descriptor 3 (LISTEN_FDS), so that a',
    )
    lines.push('  # restart refuses no connection: server.listen({ fd: 3 }).')
    lines.push('  sockets:', '    - { name: http, port: 8080 }')
    lines.push('health:', '  probes:', '    - { type: http, socket: http, path: / }')
  } else lines.push('health:', '  probes:', '    - { type: tcp, port: 8080 }')
  lines.push('environments:', '  production:', '    hosts: {}', '    # env: { LOG_LEVEL: info }')
  return `${lines.join('\n')}\n`
}
