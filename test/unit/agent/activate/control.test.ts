import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { askInstance } from '../../../../agent/activate/control.ts'

t.test('an instance that answers something else, too much or nothing is said in one sentence', async (t) => {
  const cases: [answer: string | null, why: RegExp][] = [
    [
      'HTTP/1.1 400 Bad Request\r\n\r\n',
      /^The service did not answer on its private socket: it answers something else/,
    ],
    ['{"state":"well"}\n', /^The service did not answer on its private socket: (?!The service)/],
    ['x'.repeat(400_000), /it closed the connection/],
    [null, /no answer within 0\.2 s/],
  ]
  for (const [answer, why] of cases) {
    const path = join(mkdtempSync(join(tmpdir(), 'control-')), 's')
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume()
      if (answer !== null) socket.write(answer)
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const asked = askInstance(path, { do: 'status' }, 200)
    await t.rejects(asked, { code: 'E_SERVICE_CONTROL', message: why })
    server.close()
  }
})
