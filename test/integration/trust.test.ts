import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startHost } from '../rig/host.ts'
import { makePeople } from '../rig/people.ts'
import { makeRig, type Rig } from '../rig/rig.ts'
import { secondPerson, type SecondPerson } from '../rig/second-person.ts'

/** What git needs to make commits anywhere. */
const git = (dir: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: dir })

/** Ben's own project names his own login; the first person's file names hers. */
const withLoginOf = (who: SecondPerson, rig: Rig) => {
  const file = join(who.project, 'deploy.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(rig.home.loginKey, who.loginKey))
}

async function admit(rig: Rig, who: SecondPerson, ...more: string[]) {
  const key = await who.cli('trust', 'key')
  return rig.cli('trust', 'add-key', who.name, key.stdout.trim(), '--login', `${who.loginKey}.pub`, ...more)
}

t.test('somebody new is let in by one command, works, and is shut out by another', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2'])
  t.equal((await rig.cli('push')).code, 0)
  const ben = secondPerson(rig, 'ben')
  const [web1] = rig.hosts
  const address = `127.0.0.1:${web1?.port}`
  t.match(await ben.cli('trust', 'join', address, '--yes'), { code: 6 }, 'not before he is let in')
  const added = await admit(rig, ben)
  t.equal(added.code, 0, added.stderr)
  t.match(added.stdout, /\+ ben SHA256:.*\(release, order\)/)
  t.match(added.stdout, /root 2 counts from now on/)
  const published = await rig.cli('trust', 'publish')
  t.match(published.stdout, /web1 follows root 2\nweb2 follows root 2/)
  const joined = await ben.cli('trust', 'join', address, '--yes')
  t.equal(joined.code, 0, joined.stderr)
  t.match(joined.stdout, /joined fleet .* at root 2\nyou are ben: release, order/)
  ben.checkOut()
  withLoginOf(ben, rig)
  writeFileSync(join(ben.project, 'version.txt'), 'by-ben\n')
  const pushed = await ben.cli('push')
  t.equal(pushed.code, 0, pushed.stderr)
  t.equal(await rig.get('web2'), 'by-ben')
  t.match((await ben.cli('history')).stdout, / ben /)

  const revoked = await rig.cli('trust', 'revoke', 'ben')
  t.equal(revoked.code, 0, revoked.stderr)
  t.match(revoked.stderr, /ben SHA256:.* signs no more\n.*SHA256:.* logs in no more/)
  t.equal((await rig.cli('trust', 'publish')).code, 0)
  t.match(await ben.cli('status'), { code: 6, stderr: /E_SSH_AUTH/ })
  // Even with a login that still works, what he signs is worth nothing.
  writeFileSync(ben.loginKey, readFileSync(rig.home.loginKey))
  writeFileSync(join(ben.project, 'version.txt'), 'once-more\n')
  t.match(await ben.cli('push'), { code: 5, stderr: /E_SIGNER_UNKNOWN/ })
  t.equal(await rig.get('web1'), 'by-ben')
  rig.version('v3')
  t.equal((await rig.cli('push')).code, 0, 'she goes on')
  t.equal((await rig.cli('history', '--verify')).code, 0, 'and his orders stay valid history')
  const back = await rig.cli('rollback')
  t.equal(back.code, 7, 'a release that only he vouched for is not gone back to by itself')
  t.match(back.stderr, /E_SIGNER_UNKNOWN/)
  t.equal((await admit(rig, ben)).code, 0)
  t.notMatch((await rig.cli('trust', 'show')).stdout, 'may not log in', 'let in again')
  t.equal(await rig.get('web1'), 'v3')
})

t.test('where two people must agree, a second one looks and signs in another directory', async (t) => {
  const rig = await makeRig(t)
  git(rig.project, 'init', '-q')
  git(rig.project, 'add', '.')
  git(rig.project, 'commit', '-qm', 'first')
  t.equal((await rig.cli('push')).code, 0)
  const ben = secondPerson(rig, 'ben')
  t.equal((await admit(rig, ben)).code, 0)
  const policy = await rig.cli(
    'trust',
    'policy',
    '--services',
    'echo',
    '--hosts',
    'web*',
    '--approvals',
    '2',
    '--clean',
  )
  t.equal(policy.code, 0, policy.stderr)
  rig.version('v2')
  const alone = await rig.cli('push')
  t.match(alone, { code: 5, stderr: /E_APPROVALS .*needs the agreement of 2 people.*push --request/s })
  t.equal(await rig.get('web1'), 'v1')
  t.match((await rig.cli('plan')).stdout, /2 people must agree\n.*only a release of a clean commit/)

  git(rig.project, 'commit', '-qam', 'second')
  const asked = await rig.cli('push', '--request', '-m', 'a new look')
  t.equal(asked.code, 0, asked.stderr)
  const [, file = ''] = /wrote (\S+request\.json), good until .*2 must agree/.exec(asked.stdout) ?? []
  t.ok(file, asked.stdout)
  t.equal(await rig.get('web1'), 'v1', 'it is uploaded and waits')

  t.equal((await ben.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')).code, 0)
  git(ben.dir, 'clone', '-q', rig.project, join(ben.dir, 'clone'))
  rmSync(ben.project, { recursive: true })
  execFileSync('mv', [join(ben.dir, 'clone'), ben.project])
  t.match(await ben.cli('approve', file), { code: 2, stderr: /E_NOT_CONFIRMED/ }, 'nobody agrees by accident')
  const { eve } = await makePeople('eve')
  t.match(await ben.cli('approve', file, '--yes', '--key', eve.file), { code: 5, stderr: /E_SIGNER_UNKNOWN/ })
  const agreed = await ben.cli('approve', file, '--yes')
  t.equal(agreed.code, 0, agreed.stderr)
  t.match(agreed.stdout, /from commit [0-9a-f]{40}, clean/)
  t.match(agreed.stdout, /"a new look"/)
  t.match(agreed.stdout, /✔ the configuration is that of your deploy\.yaml/)
  t.match(agreed.stdout, /✔ your checkout of that commit makes the very same release/)
  t.match(await ben.cli('approve', file, '--yes'), { code: 0, stdout: /you have agreed already/ })
  const pushed = await rig.cli('push', '--approved', file)
  t.equal(pushed.code, 0, pushed.stderr)
  t.equal(await rig.get('web1'), 'v2')
  t.equal((await rig.cli('rollback')).code, 0, 'back to the one before, alone')
  t.equal(await rig.get('web1'), 'v1')

  rig.version('v3')
  git(rig.project, 'commit', '-qam', 'third')
  const other = await rig.cli('push', '--approved', file)
  t.match(
    other,
    { code: 5, stderr: /E_APPROVAL_OTHER .*approved was/ },
    'not another release by the same file',
  )
  writeFileSync(join(rig.project, 'new.txt'), 'x')
  const asking = await rig.cli('push', '--request', join(rig.project, 'r.json'))
  t.match(asking, { code: 2, stderr: /would become part of the release/ })
})

t.test('a key is rotated while a host is away; it catches up at its next push', async (t) => {
  const rig = await makeRig(t, ['web1', 'web2', 'web3'])
  t.equal((await rig.cli('push')).code, 0)
  rig.configure({ extra: 'rollout: { onUnreachable: skip }' })
  const web3 = rig.host('web3')
  await web3.kill()
  const old = readFileSync(join(rig.home.configDir, 'signing_key'), 'utf8')
  const rotated = await rig.cli('trust', 'rotate')
  t.equal(rotated.code, 0, rotated.stderr)
  t.match(rotated.stdout, /\+ .*\n- .*\n/)
  t.equal((await rig.cli('trust', 'renew', '--years', '3')).code, 0)
  rig.version('v2')
  const pushed = await rig.cli('push')
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stdout, /web3 .*skipped/)
  t.equal(await rig.get('web2'), 'v2')
  await web3.start()
  const caughtUp = await rig.cli('push')
  t.equal(caughtUp.code, 0, caughtUp.stderr)
  t.equal(await rig.get('web3'), 'v2')
  t.same(
    readdirSync(web3.dir).filter((name) => /^root\.\d+\.json$/.test(name)),
    ['root.1.json', 'root.2.json', 'root.3.json'],
  )
  // The lost key, found by somebody else.
  writeFileSync(join(rig.home.dir, 'found'), old, { mode: 0o600 })
  rig.version('v3')
  t.match(await rig.cli('push', '--key', join(rig.home.dir, 'found')), {
    code: 5,
    stderr: /E_SIGNER_UNKNOWN/,
  })
  t.equal(await rig.get('web1'), 'v2')
  t.equal((await rig.cli('history', '--verify')).code, 0)
})

t.test('a host that is new at root 3 leads on a colleague who still knows root 2', async (t) => {
  const rig = await makeRig(t)
  const ben = secondPerson(rig, 'ben')
  t.equal((await admit(rig, ben)).code, 0)
  t.equal((await rig.cli('trust', 'publish')).code, 0)
  t.equal((await ben.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')).code, 0)
  t.equal((await rig.cli('trust', 'renew', '--years', '3')).code, 0)
  rig.hosts.push(await startHost(t, rig.home, 'web2'))
  rig.configure()
  ben.checkOut()
  withLoginOf(ben, rig)
  const pushed = await ben.cli('push', '--host', 'web2')
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stderr, /root 3 counts from now on, as web2 knew it/)
})

t.test('a root of two people is signed by one after the other', async (t) => {
  const rig = await makeRig(t)
  const ben = secondPerson(rig, 'ben')
  t.equal((await admit(rig, ben, '--roles', 'root,release,order')).code, 0)
  t.equal((await rig.cli('trust', 'publish')).code, 0)
  t.equal((await ben.cli('trust', 'join', `127.0.0.1:${rig.hosts[0]?.port}`, '--yes')).code, 0)
  const file = join(rig.home.dir, 'asked.json')
  const raised = await rig.cli('trust', 'threshold', 'root', '2', '-o', file)
  t.match(raised.stdout, /root 3 needs more signatures/, 'who would be needed has to be there')
  t.match((await ben.cli('trust', 'sign', file)).stdout, /root 3 counts from now on/)
  t.match((await rig.cli('trust', 'sign', file)).stdout, /root 3 counts from now on/)
  const begun = await rig.cli('trust', 'threshold', 'order', '2', '-o', file)
  t.equal(begun.code, 0, begun.stderr)
  t.match(begun.stdout, /root 4 needs more signatures/)
  t.match((await rig.cli('trust', 'show')).stdout, /root 3,/)
  const signed = await ben.cli('trust', 'sign', file)
  t.equal(signed.code, 0, signed.stderr)
  t.match(signed.stdout, /\+ people needed: order 2\n.*- people needed: order 1/s)
  t.match(signed.stdout, /root 4 counts from now on/)
  ben.checkOut()
  withLoginOf(ben, rig)
  t.equal((await ben.cli('trust', 'publish')).code, 0)
  t.match(
    await rig.cli('push'),
    {
      code: 5,
      stderr: /root 4 counts from now on, as web1 knew it:\n {2}\+ people needed: order 2\n.*E_APPROVALS/s,
    },
    'she got the new root from the host, and is told',
  )
  t.match((await rig.cli('trust', 'show')).stdout, /root 4,/)
})

t.test('after a key is lost, the recovery key brings the fleet back', async (t) => {
  const rig = await makeRig(t)
  const { safe } = await makePeople('safe')
  t.equal((await rig.cli('trust', 'add-key', 'safe', `${safe.file}.pub`, '--roles', 'recovery')).code, 0)
  t.equal((await rig.cli('push')).code, 0)
  for (const name of ['signing_key', 'signing_key.pub']) rmSync(join(rig.home.configDir, name))
  rig.version('v2')
  t.match(await rig.cli('push'), { code: 3, stderr: /E_KEY_MISSING/ })
  const owner = /^(\S+) +SHA256:\S+ +root/m.exec((await rig.cli('trust', 'show')).stdout)?.[1] ?? ''
  const recovered = await rig.cli('trust', 'recover', '--recovery-key', safe.file, '--lost', owner)
  t.equal(recovered.code, 0, recovered.stderr)
  t.match(recovered.stdout, /\+ epoch 2\n/)
  const pushed = await rig.cli('push')
  t.equal(pushed.code, 0, pushed.stderr)
  t.equal(await rig.get('web1'), 'v2')
  t.match((await rig.cli('trust', 'show')).stdout, /root 3, epoch 2/)
})

t.test('a statement about the build is named in the release, shown and kept', async (t) => {
  const rig = await makeRig(t)
  const file = join(rig.home.dir, 'provenance.json')
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {},
  }
  writeFileSync(file, JSON.stringify(statement))
  t.match(
    (await rig.cli('plan', '--statement', file)).stdout,
    /statement https:\/\/slsa\.dev\/provenance\/v1/,
  )
  t.equal((await rig.cli('push', '--statement', file)).code, 0)
  const history = await rig.cli('history', '--json')
  t.match(history.events[0], { provenance: { statement: { predicateType: statement.predicateType } } })
  const envelope = {
    payloadType: 'application/vnd.in-toto+json',
    payload: Buffer.from(JSON.stringify(statement)).toString('base64'),
    signatures: [],
  }
  writeFileSync(file, JSON.stringify(envelope))
  t.equal((await rig.cli('plan', '--statement', file)).code, 0, 'wrapped as signers do')
  writeFileSync(file, '{"hello":1}')
  t.match(await rig.cli('push', '--statement', file), {
    code: 4,
    stderr: /E_STATEMENT .*no in-toto statement/,
  })
})
