import { readFileSync } from 'node:fs'
import { connect } from 'node:net'

/**
 * What sshd runs for the subsystem: it says who is there and then only passes bytes on. It imports
 * nothing else, since it is started for each connection.
 * @param socketPath the agent's Unix socket
 */
export function bridge(socketPath: string, env: NodeJS.ProcessEnv = process.env): void {
  const { stdin, stdout } = process
  const socket = connect({ path: socketPath, allowHalfOpen: true })
  const caller = {
    connection: env['SSH_CONNECTION'] ?? `local ${process.pid}`,
    user: env['USER'] ?? '?',
    auth: authOf(env),
  }
  socket.write(`DEPLOYCTL/1 ${JSON.stringify(caller)}\n`)
  socket.once('connect', () => {
    stdin.pipe(socket)
    socket.pipe(stdout, { end: false })
  })
  // An agent that ends has said all: whoever asked must not wait for more.
  socket.once('end', () => stdout.end(() => process.exit(0)))
  socket.once('error', (error) => {
    // sshd throws a subsystem's stderr away, so the answer goes the way of all others.
    const body = JSON.stringify({
      code: 'E_AGENT_DOWN',
      message: `The agent of this host does not answer (${error.message}).`,
      next: 'Start it on the host: systemctl start deploy-agent, or deploy-agent serve.',
      production: 'untouched',
      facts: {},
    })
    const head = `HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`
    stdin.resume()
    stdout.end(head + body, () => process.exit(1))
  })
  socket.once('close', () => process.exit(0))
  for (const stream of [stdin, stdout]) stream.on('error', () => process.exit(1))
}

/** Which key or certificate logged in, as sshd's ExposeAuthInfo tells; a client cannot set it. */
function authOf(env: NodeJS.ProcessEnv): string | null {
  const file = env['SSH_USER_AUTH']
  if (!file) return null
  try {
    return readFileSync(file, 'utf8').trim().slice(0, 16_000)
  } catch {
    return null
  }
}
