import t from 'tap'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { namespaces } from '../../../shared/formats/namespaces.ts'
import { generateKey } from '../../../shared/sshsig/generate-key.ts'
import { agentSigner, listAgentKeys } from '../../../shared/sshsig/ssh-agent.ts'
import { verifySignature } from '../../../shared/sshsig/verify.ts'

const dir = mkdtempSync(join(tmpdir(), 'deployctl-agent-'))
t.teardown(() => rmSync(dir, { recursive: true }))
const message = Buffer.from('{}\n')
const noAgent = spawnSync('ssh-agent', ['-?']).error ? 'ssh-agent is not installed' : false

t.test(
  'a key in a real ssh-agent signs, and one that is not there does not',
  { skip: noAgent },
  async (t) => {
    const socket = join(dir, 'agent.sock')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    t.teardown(() => agent.kill())
    for (let tries = 0; !existsSync(socket) && tries < 200; tries++) await sleep(25)
    const key = generateKey('laptop')
    writeFileSync(join(dir, 'id'), key.privateKey, { mode: 0o600 })
    execFileSync('ssh-add', ['-q', join(dir, 'id')], { env: { ...process.env, SSH_AUTH_SOCK: socket } })
    const [listed] = await listAgentKeys(socket)
    t.equal(`${listed?.publicKey} ${listed?.comment}`, key.publicKey)
    const signer = agentSigner(socket, key.publicKey)
    const signature = await signer.sign(namespaces.release, message)
    t.equal(verifySignature(namespaces.release, message, signature).fingerprint, signer.fingerprint)
    const stranger = agentSigner(socket, generateKey('other').publicKey)
    await t.rejects(stranger.sign(namespaces.release, message), { code: 'E_AGENT_REFUSED' })
  },
)

t.test('an agent that is not there, hangs up or talks nonsense is an error with a next step', async (t) => {
  const { publicKey } = generateKey('x')
  const sign = (socket: string) => agentSigner(socket, publicKey).sign(namespaces.release, message)
  await t.rejects(sign(join(dir, 'nobody.sock')), { code: 'E_AGENT_REFUSED' })
  const answers = [Buffer.alloc(0), Buffer.from([255, 255, 255, 255]), Buffer.from([0, 0, 0, 1, 14])]
  for (const [index, bytes] of answers.entries()) {
    const socket = join(dir, `fake${index}.sock`)
    const server = createServer((client) => client.end(bytes)).listen(socket)
    t.teardown(() => server.close())
    await once(server, 'listening')
    await t.rejects(sign(socket), { code: /E_AGENT_REFUSED|E_SIGNATURE_FORMAT/ }, `answer ${index}`)
  }
})
