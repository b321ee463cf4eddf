import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../shared/errors.ts'
import { text, type Command } from '../cli/command.ts'

const tries = 100
const pauseMs = 100

export const openCommand: Command = {
  name: 'open',
  summary: 'a way to the dashboard of a controller that only listens to itself, through ssh',
  args: [{ arg: '<address>', summary: '[user@]host of the machine it runs on, as ssh takes it' }],
  flags: [
    { flag: '--port <number>', summary: 'where the controller listens there', default: '8700' },
    { flag: '--local <number>', summary: 'where to listen here; a free one when left out' },
  ],
  examples: ['deployctl open admin@deploy.example.com'],
  async run(parsed, context) {
    const [address = ''] = parsed.args
    const port = text(parsed, 'port') ?? ''
    const given = text(parsed, 'local')
    if (
      address.startsWith('-') ||
      !/^\d{1,5}$/.test(port) ||
      (given !== undefined && !/^\d{1,5}$/.test(given))
    )
      throw new DeployError('E_USAGE', { detail: 'Say where: deployctl open [user@]host [--port 8700]' })
    const local = given === undefined ? await freePort() : Number(given)
    const config = context.env['DEPLOYCTL_SSH_CONFIG']
    const argv = [
      ...(config === undefined ? [] : ['-F', config]),
      '-N',
      '-o',
      'ExitOnForwardFailure=yes',
      '-L',
      `127.0.0.1:${local}:127.0.0.1:${port}`,
      '--',
      address,
    ]
    const child = spawn('ssh', argv, { stdio: ['inherit', 'ignore', 'inherit'], env: context.env })
    const ended = once(child, 'exit').then(([code]) => code as number | null)
    const stop = () => void child.kill()
    process.once('SIGINT', stop).once('SIGTERM', stop)
    const url = `http://127.0.0.1:${local}`
    const isThere = await Promise.race([waitFor(local), ended.then(() => false)])
    if (!isThere) throw new DeployError('E_CONTROLLER', { url: address, why: 'ssh found no way to it' })
    context.out.event({ type: 'open', url })
    context.out.line(`the dashboard: ${url}`)
    context.out.note('  until you press Ctrl-C')
    await ended
  },
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function waitFor(port: number): Promise<boolean> {
  for (let n = 0; n < tries; n++) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isOpen) return true
    await delay(pauseMs)
  }
  return false
}
