import { connect, createServer, type Socket } from 'node:net'

/**
 * A link with a given one-way delay: `node delay-proxy.ts TARGET_PORT DELAY_MS`. Says its port on the
 * first line, and how many bytes went each way since it was last asked for each line it reads.
 */
const [target = '', delay = '0'] = process.argv.slice(2)
const delayMs = Number(delay)
const count = { up: 0, down: 0 }

function pass(from: Socket, to: Socket, direction: 'up' | 'down') {
  from.on('data', (chunk: Buffer) => {
    count[direction] += chunk.length
    if (delayMs === 0) to.write(chunk)
    else setTimeout(() => to.write(chunk), delayMs)
  })
  from.on('end', () => setTimeout(() => to.end(), delayMs))
  from.on('error', () => to.destroy())
}

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const host = connect({ port: Number(target), host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  pass(client, host, 'up')
  pass(host, client, 'down')
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(typeof address === 'object' && address ? address.port : 0)
})
process.stdin.on('data', () => {
  console.log(JSON.stringify(count))
  count.up = 0
  count.down = 0
})
process.stdin.on('end', () => process.exit(0))
