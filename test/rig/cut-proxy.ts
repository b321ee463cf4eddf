import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type CutProxy = {
  port: number
  /** Each later connection breaks when this many bytes have gone to the host. */
  cutAfter(bytes: number): void
}

/** A way to a port of this machine that breaks. */
export async function startCutProxy(t: Test, port: number): Promise<CutProxy> {
  let limit = Number.POSITIVE_INFINITY
  const server = createServer((client) => {
    const host = connect(port, '127.0.0.1')
    const own = limit
    let sent = 0
    const end = () => {
      client.destroy()
      host.destroy()
    }
    client.on('error', end).on('close', end)
    host.on('error', end).on('close', end)
    host.pipe(client)
    client.on('data', (chunk: Buffer) => {
      host.write(chunk.subarray(0, own - sent))
      sent += chunk.length
      if (sent >= own) end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return {
    port: (server.address() as AddressInfo).port,
    cutAfter: (bytes) => {
      limit = bytes
    },
  }
}
