import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { agentUnit, bare, eventually, url } from '../rig/hosts/bare.ts'
import { cannotBoot, type TestHost, type TestHosts } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

t.test(
  'a bare server becomes a host, and lives through pushes, upgrades and reboots',
  { skip },
  async (t) => {
    await using rig = await bare()
    const { web1, laptop } = rig
    const before = await everything(web1)

    await t.test('an administrator sees what would be done, and a wrong password does nothing', async (t) => {
      const asAda = ['host', 'add', 'ada@10.77.0.11', '--name', 'web1'] as const
      t.match(await laptop.cli(...asAda, '--yes'), { code: 6, stderr: /E_SUDO .*sudo asks for a password/ })
      const wrong = await laptop.cliWith({ DEPLOYCTL_SUDO_PASSWORD: 'guessed' }, ...asAda, '--yes')
      t.match(wrong, { code: 6, stderr: /E_SUDO / })
      const env = { DEPLOYCTL_SUDO_PASSWORD: 'correct horse' }
      const dry = await laptop.cliWith(env, ...asAda, '--dry-run')
      t.equal(dry.code, 0, dry.stderr)
      t.match(
        dry.stdout,
        /write \/etc\/ssh\/sshd_config\.d\/50-deployctl\.conf.*\n.*│ # Written by deployctl/,
      )
      t.match(await laptop.cliWith(env, ...asAda), { code: 2, stderr: /E_NOT_CONFIRMED .*--yes/s })
      t.same(added(before, await everything(web1)), [], 'nothing was changed')
      const ran = await laptop.cliWith(env, ...asAda, '--yes')
      t.equal(ran.code, 0, ran.stderr + ran.stdout)
      t.notMatch(ran.stdout + ran.stderr, 'correct horse')
      t.match(readFileSync(join(laptop.project, 'deploy.yaml'), 'utf8'), /web1: 10\.77\.0\.11/)
      t.match(await laptop.cliWith(env, ...asAda, '--yes'), {
        code: 0,
        stdout: /everything is as it should be/,
      })
    })

    await t.test('the agent is confined, and answers systemd', async (t) => {
      const security = await web1.must('systemd-analyze', 'security', '--no-pager', 'deploy-agent.service')
      const [, exposure] = /exposure level.*: ([\d.]+)/.exec(security) ?? []
      t.comment(`systemd-analyze security: ${exposure}`)
      t.ok(Number(exposure) <= 1.5, security)
      const show = await web1.must(
        'systemctl',
        'show',
        'deploy-agent',
        '-p',
        'Type,WatchdogUSec,User,NotifyAccess,ActiveState',
      )
      t.match(show, /Type=notify[^]*WatchdogUSec=30s|WatchdogUSec=30s[^]*Type=notify/)
      t.match(show, 'ActiveState=active')
      const pid = await web1.must('systemctl', 'show', '-p', 'MainPID', '--value', 'deploy-agent')
      t.equal(await web1.must('ps', '-o', 'user:32=', '-p', pid), 'deploy-agent')
    })

    await t.test('a push starts the service in its sandbox', async (t) => {
      const ran = await laptop.cli('push')
      t.equal(ran.code, 0, ran.stderr)
      t.match(await laptop.get(url), /^v1 /)
      const pid = await web1.must('systemctl', 'show', '-p', 'MainPID', '--value', 'deploy-echo@a.service')
      t.equal(await web1.must('ps', '-o', 'user=', '-p', pid), 'svc-echo')
      const release = await web1.must('readlink', `/proc/${pid}/cwd`)
      const inside = (script: string) =>
        web1.run(
          'nsenter',
          '-t',
          pid,
          '-m',
          'setpriv',
          '--reuid=svc-echo',
          '--clear-groups',
          'sh',
          '-c',
          script,
        )
      for (const path of [
        `${release}/server.mjs`,
        `${release}/new`,
        '/var/lib/deployctl/blobs/x',
        '/var/lib/deployctl/slots/echo/a/start',
        '/etc/x',
      ])
        t.match(await inside(`echo evil >>${path}`), { status: 2 }, `it cannot write ${path}`)
      for (const path of [
        '/var/lib/deployctl/journal.sqlite',
        '/var/lib/deployctl/receipt_key',
        '/etc/deployctl/services/echo.env',
      ])
        t.not((await inside(`cat ${path}`)).status, 0, `it cannot read ${path}`)
      t.equal(
        (await inside('echo kept >/var/lib/deploy-services/echo/note')).status,
        0,
        'its state directory is its own',
      )
    })

    await t.test('a release that is not well is undone, with the last lines of the journal', async (t) => {
      laptop.version('sick')
      t.match(await laptop.cli('push'), { code: 8, stderr: /E_ROLLED_BACK/ })
      t.match(await laptop.get(url), /^v1 /)
      laptop.version('crash')
      const crashed = await laptop.cli('push')
      t.match(crashed, { code: 8 })
      t.match(crashed.stdout + crashed.stderr, /E_SERVICE_START .*exit 3/)
      t.match(await laptop.get(url), /^v1 /)
      laptop.version('v2')
      t.equal((await laptop.cli('push')).code, 0)
      t.match(await laptop.get(url), /^v2 /)
      t.match((await laptop.cli('logs')).stdout, /v2 listens/)
    })

    await t.test('who connected stands beside who signed', async (t) => {
      const { stdout, stderr } = await laptop.cli('history')
      const fingerprint =
        (await rig.run(['ssh-keygen', '-lf', `${rig.loginKey}.pub`])).stdout.split(' ')[1] ?? '?'
      t.match((await laptop.cli('history', '--json')).stdout, fingerprint)
      t.match(stdout, 'rolled-back')
      t.match(stderr, `logged in as deployctl with ${fingerprint}`)
    })

    await t.test(
      'a certificate lets in whom no key names, is told in the history, and can be revoked',
      async (t) => {
        const at = (name: string) => join(laptop.home.dir, name)
        const keygen = (...args: string[]) => execFileSync('ssh-keygen', ['-q', ...args])
        for (const name of ['ca', 'ada']) keygen('-t', 'ed25519', '-N', '', '-f', at(name))
        keygen('-s', at('ca'), '-I', 'ada of the team', '-z', '7', '-n', 'pushers', `${at('ada')}.pub`)
        await web1.copy(`${at('ca')}.pub`, '/etc/deployctl/user_ca_keys')
        await web1.must('sh', '-c', 'echo pushers >>/etc/deployctl/principals')
        const keys = '/etc/deployctl/authorized_keys'
        await web1.must('mv', keys, `${keys}.away`)
        laptop.edit((text) =>
          text.replace(
            /web1: [^\s,}]+/,
            `web1: { address: 10.77.0.11, identity: ${at('ada')}, transport: system }`,
          ),
        )
        laptop.version('v2')
        const pushed = await laptop.cli('rollback', '--yes')
        t.equal(pushed.code, 0, pushed.stderr)
        t.equal((await laptop.cli('push')).code, 0)
        t.match(
          (await laptop.cli('history')).stderr,
          /as deployctl with certificate "ada of the team" \(serial 7\)/,
        )
        writeFileSync(at('revoked'), 'serial: 7\n')
        keygen('-k', '-f', at('krl'), '-s', `${at('ca')}.pub`, at('revoked'))
        await web1.copy(at('krl'), '/etc/deployctl/revoked_keys')
        t.match(await laptop.cli('status'), { code: 6, stderr: /E_SSH_AUTH/ })
        await web1.must('sh', '-c', ': >/etc/deployctl/revoked_keys')
        await web1.must('mv', `${keys}.away`, keys)
        laptop.edit((text) => text.replace(/web1: \{[^}]*\}/, 'web1: 10.77.0.11'))
        t.equal((await laptop.cli('status')).code, 0)
      },
    )

    await t.test('the agent may touch its own units and no others', async (t) => {
      const asAgent = (...argv: string[]) => web1.run('runuser', '-u', 'deploy-agent', '--', ...argv)
      for (const unit of [
        'ssh.service',
        'deploy-agent.service',
        'deploy-boot.service',
        'deploy-other@a.service',
        'deploy-echo.socket',
        'deploy-echo@c.service',
      ])
        for (const verb of ['start', 'stop', 'restart'])
          t.not((await asAgent('systemctl', '--no-ask-password', verb, unit)).status, 0, `${verb} ${unit}`)
      t.not((await asAgent('systemctl', '--no-ask-password', 'enable', 'deploy-echo@a.service')).status, 0)
      t.not((await asAgent('systemctl', '--no-ask-password', 'daemon-reload')).status, 0)
      t.equal(
        (await asAgent('systemctl', '--no-ask-password', 'stop', 'deploy-echo-probe@1.service')).status,
        0,
      )
    })

    await t.test('whoever logs in as deployctl gets the bridge and nothing else', async (t) => {
      await checkWayIn(t, rig, web1)
    })

    await t.test(
      'doctor names what was changed by hand, and upgrade mends it without losing the change',
      async (t) => {
        t.match(await laptop.cli('doctor', 'web1'), { code: 0, stdout: /echo v?.* runs in slot/ })
        await web1.must('sh', '-c', `echo '# mine' >>${agentUnit}`)
        t.match(await laptop.cli('doctor', 'web1'), {
          code: 7,
          stdout: /deploy-agent\.service was changed by hand/,
        })
        t.equal((await laptop.cli('host', 'upgrade', 'web1', '--as', 'root', '--yes')).code, 0)
        t.match(await web1.must('cat', `${agentUnit}.by-hand`), '# mine')
        await web1.must('rm', `${agentUnit}.by-hand`)
        await web1.must('systemctl', 'stop', 'deploy-echo@b.service', 'deploy-echo@a.service')
        t.match(await laptop.cli('doctor'), { code: 7, stdout: /is committed and does not run/ })
        await web1.must('systemctl', 'restart', 'deploy-agent')
        t.equal((await laptop.cli('doctor')).code, 0)
      },
    )

    await t.test('after a reboot the committed release runs, with the agent disabled too', async (t) => {
      await web1.reboot()
      t.match(await laptop.get(url), /^v2 /)
      t.equal((await laptop.cli('status')).code, 0)
      await web1.must('systemctl', 'disable', 'deploy-agent')
      await web1.powerCut()
      await eventually(async () => (await laptop.get(url)).startsWith('v2 '))
      t.equal((await laptop.cli('status')).code, 6, 'the agent is down')
      await web1.must('systemctl', 'enable', '--now', 'deploy-agent')
      t.equal((await laptop.cli('rollback', '--yes')).code, 0)
      t.match(await laptop.get(url), /^v1 /)
    })

    await t.test('what is removed leaves what it names, and nothing else', async (t) => {
      const ran = await laptop.cli('host', 'remove', 'web1', '--uninstall', '--as', 'root', '--yes')
      t.equal(ran.code, 0, ran.stderr + ran.stdout)
      t.match(ran.stdout, /left: \/var\/lib\/deploy-services\/echo/)
      const left = added(before, await everything(web1))
      t.same(
        left.filter((path) => !/^\/var\/lib\/(private\/)?deploy-services/.test(path)),
        [],
      )
      t.equal(await web1.must('cat', '/var/lib/private/deploy-services/echo/note'), 'kept')
      t.equal((await web1.run('getent', 'passwd', 'deployctl')).status, 2)
      t.notMatch(readFileSync(join(laptop.project, 'deploy.yaml'), 'utf8'), 'web1:')
    })
  },
)

/** All that setting up could leave, without what systems write by themselves. */
async function everything(host: TestHost): Promise<string[]> {
  const found = await host.must(
    'sh',
    '-c',
    'find /etc /usr /var /opt /srv /home /root /run/deployctl* -xdev 2>/dev/null; systemctl list-unit-files --no-legend | cut -d" " -f1',
  )
  return found
    .split('\n')
    .filter(
      (path) =>
        !/^\/(etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?|var\/(log|tmp|cache)|var\/lib\/systemd|var\/lib\/sudo)/.test(
          path,
        ),
    )
    .filter((path) => !/sudo|lectured/.test(path))
}

function added(before: readonly string[], now: readonly string[]): string[] {
  const known = new Set(before)
  return now.filter((path) => !known.has(path))
}

/** Says what a tunnel to the system's bus would let through: the bus answers whoever authenticates. */
const talkToBus = String.raw`
const bus = require('node:net').connect(process.argv[1], () => bus.write('\0AUTH EXTERNAL 30\r\n'))
bus.on('data', () => process.stdout.write('evil')).on('error', () => {})
setTimeout(() => process.exit(), 2000)`

/** Everything that SSH offers and this user must not have. */
async function checkWayIn(t: import('tap').Test, rig: TestHosts, host: TestHost) {
  const options = [
    '-F',
    'none',
    '-i',
    rig.loginKey,
    '-o',
    `UserKnownHostsFile=${rig.knownHosts}`,
    '-o',
    'BatchMode=yes',
    '-o',
    'ConnectTimeout=5',
  ]
  const target = `deployctl@${host.address}`
  const ssh = (...args: string[]) => rig.run(['timeout', '8', 'ssh', ...options, ...args])
  const refused = async (name: string, ran: Promise<{ stdout: string; stderr: string }>) => {
    const { stdout } = await ran
    t.notMatch(stdout, /uid=|SSH-2|evil|root/, name)
  }
  await refused('exec', ssh(target, 'id'))
  await refused(
    'shell',
    rig.run(['timeout', '8', 'sh', '-c', `echo 'id; exit' | ssh ${[...options, '-T', target].join(' ')}`]),
  )
  await refused('pty', ssh('-tt', target, 'id'))
  await refused('sftp', ssh('-s', target, 'sftp'))
  await refused('tcp forwarding', ssh('-W', '127.0.0.1:22', target))
  for (const what of ['9999:127.0.0.1:22', '/tmp/evil.sock:127.0.0.1:22'])
    t.match(
      await ssh('-N', '-o', 'ExitOnForwardFailure=yes', '-R', what, target),
      { status: 255, stderr: /forwarding failed|refused/i },
      `listening on ${what}`,
    )
  const socket = join(rig.loginKey, '..', 'local.sock')
  const tunnel = rig.spawn([
    'timeout',
    '4',
    'ssh',
    ...options,
    '-N',
    '-L',
    `${socket}:/run/dbus/system_bus_socket`,
    target,
  ])
  await delay(1500)
  await refused('socket forwarding', rig.run([process.execPath, '-e', talkToBus, socket]))
  tunnel.kill()
  const sshAgent = await rig.run([
    'ssh-agent',
    'sh',
    '-c',
    `timeout 8 ssh ${[...options, '-A', target, 'echo evil $SSH_AUTH_SOCK'].join(' ')}; true`,
  ])
  t.notMatch(sshAgent.stdout, 'evil', 'agent forwarding')
  await refused('X11 forwarding', ssh('-X', target, 'echo evil'))
  const before = await host.must('ls', '/tmp')
  await ssh(
    '-o',
    'SetEnv=NODE_OPTIONS=--require=/tmp/evil.js',
    '-o',
    'SetEnv=LC_ALL=evil',
    '-s',
    target,
    'deployctl',
  )
  await host.must(
    'sh',
    '-c',
    'mkdir -p /usr/lib/deployctl/.ssh && echo "touch /tmp/evil-rc" >/usr/lib/deployctl/.ssh/rc',
  )
  await ssh('-s', target, 'deployctl')
  t.equal(await host.must('ls', '/tmp'), before, 'neither SetEnv nor rc runs anything')
  await host.must('rm', '-r', '/usr/lib/deployctl/.ssh')
}
