import { createServer, connect } from 'node:net'
import t from 'tap'
import { makeMany } from '../rig/many.ts'

const hosts = 100
const countOf = (values: readonly unknown[]) => new Set(values).size

t.test('a hundred hosts', async (t) => {
  await using many = await makeMany(hosts)
  const first = await many.cli('push')
  t.equal(first.code, 0, first.stderr.slice(-2000))
  t.match(first.stdout, /✔ committed by restart +100 hosts: h001, h002, h003, h004, h005, h006 and 94 more/)

  await t.test('zones one after the other, a quarter of each at a time', async (t) => {
    many.version('v2')
    many.configure(
      `{ parallel: 16, canary: { count: 2, bakeSeconds: 1 }, batches: { size: 10%, oneAtATime: [zone] } }`,
    )
    const ran = await many.cli('push', '--json')
    t.equal(ran.code, 0, ran.stdout.slice(-2000))
    const batches = ran.events.filter(
      ({ type, state }) => type === 'rollout' && (state === 'batch' || state === 'canary'),
    )
    t.equal(batches.length, 13, 'a canary, and three batches for each of four zones')
    t.equal(countOf(await many.running()), 1)
  })

  await t.test('a canary that fails stops it before anybody else', async (t) => {
    const before = await many.running()
    many.version('v3', 'exit 1\n')
    const ran = await many.cli('push')
    t.match(ran, { code: 8, stderr: /E_SERVICE_START/ })
    t.strictSame(await many.running(), before)
  })

  await t.test('hosts that are away are left out, the others go on, and they catch up', async (t) => {
    // Nobody listens there.
    const isAway = (name: string) => name === 'h050' || name === 'h051'
    many.configure(
      '{ parallel: 32, onUnreachable: skip }',
      (name, own) => `127.0.0.1:${isAway(name) ? 1 : own}`,
    )
    many.version('v4')
    const ran = await many.cli('push', '--json')
    t.equal(ran.code, 0, ran.stdout.slice(-2000))
    const results = ran.events.filter(({ type }) => type === 'result')
    t.equal(results.length, hosts, 'every host is accounted for')
    t.equal(results.filter(({ result }) => result === 'committed').length, 98)
    t.strictSame(
      results
        .filter(({ result }) => result === 'skipped')
        .map(({ host }) => String(host))
        .sort(),
      ['h050', 'h051'],
    )
    many.configure()
    const caught = await many.cli('catch-up')
    t.equal(caught.code, 0, caught.stderr)
    t.equal(countOf(await many.running()), 1)
  })

  await t.test(
    'the way to half of the hosts is cut in the middle: each ends on a whole release',
    async (t) => {
      // A way of its own to the second half, which can be cut.
      const open = new Set<import('node:net').Socket>()
      let isCut = false
      const ways = new Map<string, number>()
      const servers = await Promise.all(
        many.names.slice(50).map(async (name) => {
          const server = createServer((socket) => {
            if (isCut) return void socket.destroy()
            const on = connect(many.ports.get(name) ?? 0, '127.0.0.1')
            for (const one of [socket, on])
              open.add(one.on('error', () => {}).on('close', () => open.delete(one)))
            socket.pipe(on).pipe(socket)
          })
          await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
          ways.set(name, (server.address() as { port: number }).port)
          return server
        }),
      )
      t.teardown(() => servers.forEach((server) => server.close()))
      const known = await import('node:fs').then(({ readFileSync, appendFileSync }) => {
        const file = `${many.home.dir}/known_hosts`
        const lines = readFileSync(file, 'utf8')
        for (const [name, port] of ways) {
          const key = new RegExp(`^\\[127\\.0\\.0\\.1\\]:${many.ports.get(name)} (.*)$`, 'm').exec(lines)?.[1]
          appendFileSync(file, `[127.0.0.1]:${port} ${key}\n`)
        }
        return ways.size
      })
      t.equal(known, 50)
      many.configure(
        '{ parallel: 4, maxFailures: 100, progressSeconds: 20 }',
        (name, own) => `127.0.0.1:${ways.get(name) ?? own}`,
      )
      many.version('v5')
      const pushing = many.begin('push', '--json')
      await pushing.says(/"type":"result","host":"h054"/)
      isCut = true
      for (const socket of open) socket.destroy()
      // Nobody knows yet what became of those that were at work.
      await pushing.says(/connection lost, asking again/)
      isCut = false
      const ran = await pushing.ended
      t.ok([0, 9].includes(ran.code ?? -1), ran.stdout.slice(-1500))
      const results = ran.stdout.split('\n').filter((line) => line.startsWith('{"type":"result"'))
      t.equal(countOf(results.map((line) => (JSON.parse(line) as { host: string }).host)), hosts)
      const running = await many.running()
      t.ok(countOf(running) <= 2, 'the new release or the one before')
      t.notOk(running.includes(null))
      const again = await many.cli('push', '--json')
      t.equal(again.code, 0, again.stdout.slice(-1500))
      t.equal(countOf(await many.running()), 1)
    },
  )
})
