import { writeFileSync } from 'node:fs'
import { Config } from '../controller/config/schema.ts'

/** A schema as JSON Schema has it; typebox's are nothing else. */
type Node = {
  type?: string
  const?: string
  anyOf?: Node[]
  items?: Node
  properties?: Record<string, Node>
  required?: string[]
  patternProperties?: Record<string, Node>
  additionalProperties?: Node | boolean
  description?: string
}

const schema = JSON.parse(JSON.stringify(Config)) as Node

/** docs/deploy.schema.json, for editors. */
export const schemaFile = (): string =>
  `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...schema }, null, 2)}\n`

/** docs/deploy-yaml.md: every key with what it takes and what it means. */
export function configPage(): string {
  const rows = keysOf(schema, '').map(
    ([key, type, required, text]) => `| \`${key}\` | ${type}${required ? ', required' : ''} | ${text} |`,
  )
  return `${head}\n| key | value | meaning |\n|---|---|---|\n${rows.join('\n')}\n`
}

type Row = [key: string, type: string, required: boolean, text: string]

function keysOf(node: Node, prefix: string): Row[] {
  const required = new Set(node.required)
  return Object.entries(node.properties ?? {}).flatMap(([name, inner]) =>
    rowsOf(inner, prefix + name, required.has(name)),
  )
}

function rowsOf(node: Node, key: string, required: boolean): Row[] {
  const own: Row = [key, typeText(node), required, (node.description ?? '').replaceAll('|', '\\|')]
  return [own, ...innerRows(node, key)]
}

function innerRows(node: Node, key: string): Row[] {
  const byName = Object.values(node.patternProperties ?? {})[0]
  if (node.properties) return keysOf(node, `${key}.`)
  if (byName) return innerRows(byName, `${key}.NAME`)
  if (node.items) return innerRows(node.items, `${key}[]`)
  const objects = (node.anyOf ?? []).filter((one) => one.properties)
  return objects.flatMap((one) => {
    const kind = one.properties?.['type']?.const
    const suffix = typeof kind === 'string' ? ` (${kind})` : ''
    return keysOf(one, `${key}.`)
      .filter(([name]) => !name.endsWith('.type'))
      .map(([name, ...rest]): Row => [name + suffix, ...rest])
  })
}

function typeText(node: Node): string {
  if (node.const !== undefined) return `\`${node.const}\``
  if (node.anyOf) {
    const kinds = node.anyOf.map((one) => one.properties?.['type']?.const)
    const texts = kinds.every((kind) => typeof kind === 'string')
      ? kinds.map((kind) => `\`type: ${kind}\``)
      : node.anyOf.map(typeText)
    return [...new Set(texts)].join(' or ')
  }
  if (node.type === 'array') return `list of ${node.items ? typeText(node.items) : 'values'}`
  const byName = Object.values(node.patternProperties ?? {})[0]
  if (byName) return `by name: ${typeText(byName)}`
  return node.type === 'object' ? 'keys below' : (node.type ?? 'any')
}

const head = `# deploy.yaml

Made from \`controller/config/schema.ts\` by \`npm run docs\`. \`deployctl init\` writes a first one; \`deployctl plan\` checks it and changes nothing. An unknown key or a wrong value is told with its line, its column and the nearest right key.

Editors check and complete it by \`docs/deploy.schema.json\` of the package: put \`# yaml-language-server: $schema=PATH\` in the first line.

\`\`\`yaml
service: shop
build:
  command: [npm, run, build]
  exclude: [test/, '*.md']
run:
  argv: [node, server.js]
  env: [DATABASE_URL, LOG_LEVEL]
  sockets:
    - { name: http, host: 127.0.0.1, port: 8080 }
health:
  probes:
    - { type: http, path: /healthz }
environments:
  staging:
    hosts: { stage1: stage1.example.com }
    env: { LOG_LEVEL: debug }
  production:
    protected: true
    hosts:
      web1: web1.example.com
      web2: { address: deploy@web2.example.com:2222, identity: ~/.ssh/deploy }
    env: { LOG_LEVEL: info }
\`\`\`

Secrets do not belong here. \`DATABASE_URL\` above is named and not given, so each host takes it from a file of its own ([docs/hosts.md](hosts.md)).
`

if (import.meta.main) {
  writeFileSync(new URL('../docs/deploy.schema.json', import.meta.url), schemaFile())
  writeFileSync(new URL('../docs/deploy-yaml.md', import.meta.url), configPage())
}
