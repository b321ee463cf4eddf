import { mkdtempSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { listenForBridges, makeAcceptor } from '../../agent/api/server.ts'
import type { Operations } from '../../agent/api/operations.ts'

const hello = 'GET /v1/hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'
const preamble = 'DEPLOYCTL/1 {"connection":"one","user":"u","auth":null}\n'

async function serve(t: import('tap').Test) {
  const operations = { admit: () => {}, hello: () => ({ host: 'web1' }) } as unknown as Operations
  const path = join(mkdtempSync(join(tmpdir(), 'preamble-')), 'agent.sock')
  const server = await listenForBridges(path, await makeAcceptor(operations))
  t.teardown(() => server.close())
  return path
}

t.test('the first line and HTTP may come in any pieces', async (t) => {
  const path = await serve(t)
  for (const pieces of [
    [preamble + hello],
    [preamble, hello],
    [preamble.slice(0, 5), preamble.slice(5) + hello.slice(0, 9), hello.slice(9)],
  ]) {
    const socket = connect(path)
    for (const piece of pieces) {
      socket.write(piece)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    t.match(await text(socket), /200 OK[^]*"host":"web1"/)
  }
})

t.test('who does not say who it is gets nothing', async (t) => {
  const path = await serve(t)
  for (const first of [
    hello,
    'DEPLOYCTL/1 {}\n',
    'DEPLOYCTL/1 {"connection":1}\n',
    `DEPLOYCTL/1 ${'x'.repeat(40_000)}\n`,
    'DEPLOYCTL/2 {}\n',
  ]) {
    const socket = connect(path)
    socket.on('error', () => {})
    socket.write(first)
    t.equal(await text(socket).catch(() => ''), '')
  }
})

t.test('there is one agent a directory', async (t) => {
  const path = await serve(t)
  await t.rejects(
    listenForBridges(path, () => {}),
    { code: 'E_AGENT_RUNS' },
  )
})
