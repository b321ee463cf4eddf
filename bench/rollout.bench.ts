import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { table } from '../controller/cli/table.ts'
import { bytes, duration } from '../controller/cli/words.ts'
import { makeMany } from '../test/rig/many.ts'
import { median, timed, cpuOf, type Usage } from './lib/measure.ts'
import { startBenchSshd } from './lib/sshd.ts'

/**
 * A changed file and a restart on many hosts, all of them on this machine: `deployctl push` against ansible
 * (copy and command, forks = 50, pipelining, persistent connections) and against a shell loop of rsync and
 * ssh, 50 at once. Ours also signs, verifies, checks, journals, confirms and could go back.
 * `--hosts 1,10,100,300`, `--repeats N` (3), `--others 100` (the most hosts for the other two).
 */
const option = (name: string, fallback: string) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : (process.argv[index + 1] ?? fallback)
}
const counts = option('hosts', '1,10,100,300').split(',').map(Number)
const repeats = Number(option('repeats', '3'))
const others = Number(option('others', '100'))
const parallel = 50
const at = (path: string) => new URL(`../${path}`, import.meta.url).pathname

type Row = { what: string; hosts: number; samples: Usage[]; hostCpuMs: number[] }

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

async function measure(
  what: string,
  hosts: number,
  run: () => Promise<Usage>,
  hostCpu: () => number,
): Promise<Row> {
  const samples: Usage[] = []
  const hostCpuMs: number[] = []
  for (let n = 0; n < repeats; n++) {
    const before = hostCpu()
    samples.push(await run())
    hostCpuMs.push(hostCpu() - before)
  }
  return { what, hosts, samples, hostCpuMs }
}

async function ours(count: number): Promise<Row> {
  await using many = await makeMany(count, at('bin/deployctl.cjs'))
  many.configure(`{ parallel: ${parallel} }`)
  const env = { ...many.home.env, NODE_COMPILE_CACHE: join(many.home.dir, 'compiled') }
  const argv = [process.execPath, at('dist/deployctl.js'), 'push', '--json']
  let version = 0
  const push = () => {
    many.version(`v${(version += 1)}`)
    return timed(argv, many.project, env)
  }
  await push()
  return await measure('deployctl push', count, push, () => cpuOf(many.pid))
}

/** The same files and the same service, on hosts that are directories behind one sshd. */
async function theirs(count: number): Promise<Row[]> {
  await using many = await makeMany(0)
  const { dir, loginKey } = many.home
  const sshd = await startBenchSshd(
    dir,
    `${loginKey}.pub`,
    '/bin/false',
    'MaxStartups 1000\nMaxSessions 1000\n',
  )
  const names = Array.from({ length: count }, (_, n) => `h${n + 1}`)
  const ssh = `-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i ${loginKey}`
  try {
    const at = join(dir, 'targets')
    for (const name of names) mkdirSync(join(at, name), { recursive: true })
    const restart = `cd ${at}/HOST && { [ -f pid ] && kill $(cat pid); setsid sh run.sh >/dev/null 2>&1 </dev/null & echo $! > pid; }`
    let version = 0
    const change = () => many.version(`v${(version += 1)}`)
    const inventory = names.map(
      (name) => `${name} ansible_host=127.0.0.1 ansible_port=${sshd.plainPort} ansible_user=${sshd.user}`,
    )
    writeFileSync(
      join(dir, 'inventory'),
      `${inventory.join('\n')}\n[all:vars]\nansible_ssh_private_key_file=${loginKey}\nansible_ssh_common_args=-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null\n`,
    )
    writeFileSync(
      join(dir, 'play.yaml'),
      `- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: { src: ${many.project}/, dest: '${at}/{{ inventory_hostname }}/', mode: preserve }\n    - shell: "${restart.replaceAll('"', '\\"').replace('HOST', '{{ inventory_hostname }}')}"\n`,
    )
    writeFileSync(
      join(dir, 'ansible.cfg'),
      `[defaults]\nforks = ${parallel}\ninventory = ${dir}/inventory\nhost_key_checking = false\n[ssh_connection]\npipelining = true\nssh_args = -o ControlMaster=auto -o ControlPersist=60s\n`,
    )
    const rsync = `rsync -a -e 'ssh ${ssh} -p ${sshd.plainPort}' ${many.project}/ ${sshd.user}@127.0.0.1:${at}/{}/ && ssh ${ssh} -p ${sshd.plainPort} ${sshd.user}@127.0.0.1 '${restart.replace('HOST', '{}').replaceAll("'", '')}'`
    writeFileSync(
      join(dir, 'loop.sh'),
      `printf '%s\\n' ${names.join(' ')} | xargs -P ${parallel} -I{} sh -c ${JSON.stringify(rsync).replaceAll('$', '\\$')}\n`,
    )
    const env = { ...process.env, ANSIBLE_CONFIG: join(dir, 'ansible.cfg') }
    const rows = [
      await measure(
        'rsync + ssh, 50 at once',
        count,
        () => (change(), timed(['sh', join(dir, 'loop.sh')], dir, env)),
        sshd.cpuMs,
      ),
    ]
    if (existsSync('/usr/bin/ansible-playbook'))
      rows.push(
        await measure(
          'ansible, forks = 50',
          count,
          () => (change(), timed(['ansible-playbook', join(dir, 'play.yaml')], dir, env)),
          sshd.cpuMs,
        ),
      )
    else console.log('ansible is not installed: apt-get install ansible-core')
    return rows
  } finally {
    sshd.end()
    for (const name of names)
      execFileSync('sh', [
        '-c',
        `kill $(cat ${join(dir, 'targets', name, 'pid')} 2>/dev/null) 2>/dev/null || true`,
      ])
  }
}

const rows: Row[] = []
for (const count of counts) {
  rows.push(await ours(count))
  if (count <= others) rows.push(...(await theirs(count)))
  print()
}

function print() {
  const wall = (row: Row) => median(row.samples.map(({ wallMs }) => wallMs))
  const lines = rows.map((row) => {
    const own = rows.find(({ what, hosts }) => what === 'deployctl push' && hosts === row.hosts)
    const cpu = median(row.samples.map(({ cpuMs }) => cpuMs))
    const peak = median(row.samples.map(({ peakMb }) => peakMb))
    const ratio = own && own !== row ? `${(wall(row) / wall(own)).toFixed(1)} × as long` : ''
    return [
      String(row.hosts),
      row.what,
      duration(wall(row)),
      duration(cpu),
      duration(cpu / row.hosts),
      `${peak.toFixed(0)} MB`,
      ratio,
    ]
  })
  console.log(table(['hosts', '', 'time', 'CPU here', 'a host', 'peak memory', ''], lines))
  const [first, last] = [
    rows.find(({ what }) => what === 'deployctl push'),
    rows.findLast(({ what }) => what === 'deployctl push'),
  ]
  if (!first || !last || first === last) return
  const peak = (row: Row) => mean(row.samples.map(({ peakMb }) => peakMb))
  const growth = (peak(last) - peak(first)) / (last.hosts - first.hosts)
  console.log(
    `memory grows by ${bytes(growth * 1024 * 1024)} a host; connections: two a host, ${parallel} hosts at once\n`,
  )
}
