import t from 'tap'
import { HotProcess, mainFile } from '../rig/hot-process.ts'
import type { Files } from '../rig/hot-release.ts'
import { startLoad } from '../rig/load.ts'

const server = `
import { createServer } from 'node:http'
const app = hot.handle('./app.js')
createServer((request, response) => app.call((module, state) => module.handle(request, response, state)))
  .listen(0, '127.0.0.1', function () { process.send({ ready: true, port: this.address().port }) })
`
const project = (release: string, more = ''): Files => ({
  'package.json': '{"type":"module"}',
  'main.js': mainFile(['./app.js']).replace(`process.send({ ready: true })`, server),
  'app.js': `import { page } from './page.js'
export const version = 1
export const init = () => ({ requests: 0 })
export function handle(request, response, state) { state.requests += 1; response.end(page(state)) }
export const requests = (state) => state.requests
${more}`,
  'page.js': `import { release } from './release.js'\nexport const page = () => release + '\\n'`,
  'release.js': `export const release = '${release}'\nexport const ballast = '${'x'.repeat(20_000)}'`,
})
const swaps = 1000
/** Garbage, and what V8 learns about the program, come and go; a release that stays is 60 KB. */
const kilobytesPerSwap = 4

t.test('a thousand swaps under load: no request fails, and nothing of a former release stays', async (t) => {
  const service = await HotProcess.start(t, project('r0'))
  await using load = startLoad({ url: `http://127.0.0.1:${service.port}/`, kept: 4, fresh: 1, pauseMs: 2 })
  const heap = async () => {
    await service.request({ do: 'collect' })
    return (await service.request({ do: 'status' }))['heap'].used as number
  }
  const warm = 100
  let before = 0
  for (let n = 1; n <= swaps; n++) {
    const swapped = await service.swap(`r${n}`, project(`r${n}`))
    if (!swapped['ok']) t.same(swapped, {})
    if (n === warm) before = await heap()
  }
  const kilobytes = ((await heap()) - before) / 1024 / (swaps - warm)
  t.ok(kilobytes < kilobytesPerSwap, `${kilobytes.toFixed(2)} KB a swap`)
  const { pinned, generation } = await service.request({ do: 'status' })
  t.equal(generation, swaps)
  t.ok(pinned.length <= 1, 'former code is collected')
  const { bad, good, releases } = await load.stop()
  t.same(bad, [])
  t.ok(
    Object.keys(releases).length > swaps / 10,
    `${good} answers of ${Object.keys(releases).length} releases`,
  )
  t.ok((await service.call('requests')) >= good, 'and every one was counted')
})

t.test('code that something holds is counted and named; what nobody holds is not', async (t) => {
  const service = await HotProcess.start(t, project('r0'))
  const timer = 'setInterval(() => release, 1e6).unref()\nimport { release } from "./release.js"'
  for (let n = 1; n <= 12; n++) t.match(await service.swap(`r${n}`, project(`r${n}`, timer)), { ok: true })
  await service.request({ do: 'collect' })
  const { pinned } = await service.request({ do: 'status' })
  t.ok(pinned.length >= 11, `${pinned.length} releases`)
  for (const one of pinned) t.ok(one.paths.includes('app.js'), one.release)
})
