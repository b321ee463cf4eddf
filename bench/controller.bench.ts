import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { table } from '../controller/cli/table.ts'
import { bytes, duration } from '../controller/cli/words.ts'
import type { History } from '../controller/history/history.ts'
import { planned } from '../controller/rollout/machine.ts'
import { bundlePages } from '../controller/dashboard/bundle.ts'
import { makeController } from '../test/rig/controller.ts'
import { makeHome } from '../test/rig/host.ts'
import { median } from './lib/measure.ts'

/**
 * The dashboard over a large record: how long the server takes for what each page asks, over real HTTP.
 * `--hosts 500`, `--deployments 10000` (each on 20 hosts), `--clients 200` who watch live meanwhile.
 */
const option = (name: string, fallback: number) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : Number(process.argv[index + 1])
}
const hosts = option('hosts', 500)
const deployments = option('deployments', 10_000)
const clients = option('clients', 200)
const rounds = 30
const perDeployment = 20
const limitMs = 200

const names = Array.from({ length: hosts }, (_, n) => `web${n + 1}`)
const digest = (n: number) => n.toString(16).padStart(64, '0')
const id = (n: number) => n.toString(16).padStart(32, '0')

function fill(history: History) {
  const began = Date.now() - deployments * 60_000
  for (let n = 0; n < deployments; n++) {
    const at = new Date(began + n * 60_000).toISOString()
    const own = Array.from({ length: perDeployment }, (_, k) => names[(n * 7 + k) % hosts] ?? '')
    const what = { service: 'shop', release: digest(n % 300), version: `1.${n % 300}.0` }
    const policy = {
      parallel: 8,
      bakeSeconds: { canary: 0, batch: 0 },
      promote: 'auto',
      maxFailures: { batch: 0, total: 0 },
      onFailure: 'stop',
      progressSeconds: 300,
    } as const
    const plan = { id: id(n), began: at, batches: [own], canary: false, policy }
    const rollout = {
      ...planned(plan),
      state: 'done' as const,
      hosts: Object.fromEntries(own.map((host) => [host, 'committed' as const])),
    }
    history.atOnce(() => {
      history.rollouts.create(
        {
          rollout,
          details: {
            what: {
              ...what,
              action: 'deploy',
              strategy: 'auto',
              reason: 'bench',
              provenance: null,
              releaseSignatures: [],
            },
            environment: { name: 'production', env: {} },
            confirmSeconds: 30,
            rehearse: false,
            onUnreachable: 'fail',
            approvals: [],
            skipped: [],
          },
          hosts: Object.fromEntries(own.map((host) => [host, { before: null, opId: id(n) }])),
        },
        null,
      )
      history.recordPush({
        ...what,
        opId: id(n),
        at,
        action: 'deploy',
        environment: 'production',
        provenance: null,
        approvals: [],
        signer: ['ada', 'ben', 'cleo'][n % 3] ?? '',
        fingerprint: 'SHA256:x',
        reason: 'bench',
        order: randomBytes(2000),
        orderSignatures: [],
        rollout: id(n),
      })
      for (const host of own)
        history.recordResult({
          opId: id(n),
          host,
          result: n % 50 === 0 ? 'rolled-back' : 'committed',
          strategy: 'handover',
          reasons: [],
          steps: [],
          error: null,
          ended: at,
          receipt: null,
        })
    })
  }
  const state = {
    service: 'shop',
    seq: 1,
    active: digest(1),
    previous: null,
    version: '1.1.0',
    environment: null,
  }
  const instances = [{ slot: 'a' as const, release: digest(1), state: 'running', restarts: 0 }]
  history.hostStates.keep(
    names.map((host) => ({
      service: 'shop',
      environment: 'production',
      host,
      at: new Date().toISOString(),
      state: { ...state, instances, addresses: {}, deploying: null, frozen: null },
      agent: '0.1.0',
      error: null,
    })),
  )
  for (let n = 0; n < 20; n++)
    history.schedules.add(
      {
        name: `job-${n}`,
        cron: `${n} * * * *`,
        timeZone: 'Europe/Berlin',
        service: 'shop',
        environment: 'production',
        action: { do: 'deploy', channel: 'stable' },
        lateSeconds: 3600,
        jitterSeconds: 0,
        isPaused: false,
      },
      Date.now(),
    )
}

const home = await makeHome()
const project = join(home.dir, 'shop')
mkdirSync(project)
const listed = names.map((name) => `      ${name}: { address: 127.0.0.1, labels: { zone: eu } }`)
writeFileSync(
  join(project, 'deploy.yaml'),
  `service: shop\nrun: { argv: [node, x.js] }\nenvironments:\n  production:\n    hosts:\n${listed.join('\n')}\n`,
)
await using controller = await makeController(home, project, {
  pages: await bundlePages(),
  perMinute: 1_000_000,
})
const { history } = controller.daemon.site
console.log(`filling: ${hosts} hosts, ${deployments} deployments on ${perDeployment} hosts each`)
fill(history)
const url = await controller.listen()
const headers = { authorization: `Bearer ${controller.token('admin')}` }
const watching = await Promise.all(
  Array.from({ length: clients }, () => fetch(`${url}/api/v1/live`, { headers })),
)
const pages = [
  ['fleet', '/api/v1/fleet'],
  ['rollouts', '/api/v1/rollouts?limit=100'],
  ['a rollout', `/api/v1/rollouts/${id(deployments - 1)}`],
  ['history', '/api/v1/history'],
  ['history, of one person', '/api/v1/history?who=ben'],
  ['history, what failed on a host', '/api/v1/history?result=rolled-back&host=web1'],
  ['history, by a text that is nowhere', '/api/v1/history?text=nowhere'],
  ['releases', '/api/v1/releases'],
  ['schedules', '/api/v1/schedules'],
  ['calendar of a week', '/api/v1/schedules/calendar?days=7'],
  ['trust', '/api/v1/trust'],
  ['audit', '/api/v1/audit?limit=100'],
  ['metrics', '/metrics'],
  ['the page itself', '/app.js'],
] as const
const rows: string[][] = []
for (const [name, path] of pages) {
  const times: number[] = []
  let size = 0
  for (let round = 0; round <= rounds; round++) {
    const began = performance.now()
    const response = await fetch(`${url}${path}`, { headers })
    size = (await response.arrayBuffer()).byteLength
    if (!response.ok) throw new Error(`${path} answered ${response.status}`)
    if (round > 0) times.push(performance.now() - began)
  }
  const worst = Math.max(...times)
  rows.push([name, duration(median(times)), duration(worst), bytes(size), worst < limitMs ? 'yes' : 'NO'])
}
console.log(table(['what', 'median', 'slowest', 'size', `under ${limitMs} ms`], rows))
console.log(`${watching.length} clients watched live meanwhile`)
for (const { body } of watching) await body?.cancel()
process.exit(0)
