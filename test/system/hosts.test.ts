import { execFileSync, spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { bootHosts, cannotBoot } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

t.test('three machines boot with systemd, sshd and addresses of their own', { skip }, async (t) => {
  const began = performance.now()
  await using rig = await bootHosts(['web1', 'web2', 'web3'])
  t.comment(`booted in ${Math.round(performance.now() - began)} ms`)
  for (const { name, address, must } of rig.hosts) {
    t.equal(await must('hostname'), name)
    t.equal(await must('ps', '-p', '1', '-o', 'comm='), 'systemd')
    t.equal(await must('sh', '-c', 'command -v node || echo none'), 'none')
    const ssh = ['ssh', '-F', 'none', '-i', rig.loginKey, '-o', `UserKnownHostsFile=${rig.knownHosts}`]
    const { stdout } = await rig.run([...ssh, '-o', 'BatchMode=yes', `root@${address}`, 'hostname'])
    t.equal(stdout, `${name}\n`)
  }
  const [web1] = rig.hosts
  await web1?.must('sh', '-c', 'echo kept >/root/note')
  const boot = await web1?.must('cat', '/proc/sys/kernel/random/boot_id')
  await web1?.reboot()
  t.not(await web1?.must('cat', '/proc/sys/kernel/random/boot_id'), boot)
  await web1?.powerCut()
  t.equal(await web1?.must('cat', '/root/note'), 'kept')
})

t.test('whoever is killed, no machine, mount, group or network stays behind', { skip }, async (t) => {
  const program = `
    import { bootHosts } from ${JSON.stringify(new URL('../rig/hosts/hosts.ts', import.meta.url).href)}
    await bootHosts(['left'])
    console.log('up')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  t.ok(leftovers().length > 0)
  child.kill('SIGKILL')
  for (let tries = 0; leftovers().length > 0 && tries < 100; tries++) await delay(100)
  t.same(leftovers(), [])
})

/** Processes, control groups and mounts of a machine called `left`. */
function leftovers(): string[] {
  const processes = execFileSync('ps', ['-eo', 'args']).toString().split('\n')
  const groups = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']
    .flatMap((dir) => namesIn(dir).map((name) => `${dir}/${name}`))
    .filter((dir) => /\/deployctl-\d+$/.test(dir))
    .flatMap((dir) => namesIn(dir).map((name) => `${dir}/${name}`))
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  return [
    ...processes.filter((args) => args.includes('systemd-nspawn') && args.includes('--machine=left')),
    ...groups.filter((group) => group.endsWith('/left')),
    ...mounts.filter((mount) => mount.includes('/hosts-')),
  ]
}

/** Other tests make and remove theirs at the same time. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
