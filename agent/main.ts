import { join } from 'node:path'
import { parseArgs } from 'node:util'

/** deploy-agent: what runs on a host. Each command loads only what it needs; the bridge must start fast. */
const usage = `deploy-agent COMMAND [options]

  setup --host NAME --root FILE   make this directory a host of a fleet (root.N.json, with
                                  its .sig and the roots before it beside it)
  serve                           run the agent
    --ssh ADDRESS:PORT            with the embedded SSH server as well
    --authorized-keys FILE        who may log in there (DIR/authorized_keys)
    --manager systemd             let systemd run the services, as --settings registers them
  bridge                          pass standard input and output to the agent (for sshd)
  supervise                       run the services (started by serve)

  --dir DIR       the agent's directory (/var/lib/deployctl)
  --socket FILE   where bridges connect (DIR/agent.sock)
  --settings DIR  what root has registered (/etc/deployctl)
  --version
`
const defaultDir = '/var/lib/deployctl'

const options = {
  dir: { type: 'string', default: process.env['DEPLOY_AGENT_DIR'] ?? defaultDir },
  host: { type: 'string' },
  root: { type: 'string' },
  ssh: { type: 'string' },
  'authorized-keys': { type: 'string' },
  manager: { type: 'string', default: 'embedded' },
  settings: { type: 'string', default: '/etc/deployctl' },
  socket: { type: 'string' },
  version: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [command] = positionals
  const { dir } = values
  if (values.version) return console.log((await import('../shared/version.ts')).version)
  if (command === 'bridge')
    return (await import('./bridge.ts')).bridge(values.socket ?? join(dir, 'agent.sock'))
  if (command === 'supervise') {
    const { Supervisor } = await import('./manager/embedded/supervisor.ts')
    return void (await new Supervisor(dir).serve())
  }
  if (command === 'setup') return setUp(dir, values.host, values.root)
  if (command === 'serve') {
    const { serve } = await import('./serve.ts')
    const keys = values['authorized-keys'] ?? join(dir, 'authorized_keys')
    return void (await serve({
      dir,
      ssh: values.ssh ?? null,
      authorizedKeys: keys,
      program: process.argv.slice(0, 2),
      socket: values.socket ?? null,
      manager:
        values.manager === 'systemd' ? { kind: 'systemd', settings: values.settings } : { kind: 'embedded' },
    }))
  }
  process.stdout.write(usage)
  process.exitCode = values.help ? 0 : 2
}

async function setUp(dir: string, host: string | undefined, root: string | undefined) {
  const { setUpHost } = await import('./host.ts')
  const { readChain } = await import('../shared/trust/roots.ts')
  const { DeployError } = await import('../shared/errors.ts')
  if (!host || !root) throw new DeployError('E_USAGE', { detail: 'setup needs --host NAME and --root FILE' })
  setUpHost(dir, host, readChain(root))
  console.log(`${dir} is now host "${host}". Start it: deploy-agent serve --dir ${dir}`)
}

main().catch(async (error: unknown) => {
  const { asDeployError } = await import('../shared/errors.ts')
  const failure = asDeployError(error)
  console.error(`${failure.code}  ${failure.message}\n  Next: ${failure.nextStep}`)
  process.exit(failure.exitCode)
})
