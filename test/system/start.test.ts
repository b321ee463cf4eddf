import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import t from 'tap'

const demo = new URL('../../scripts/demo.ts', import.meta.url).pathname

t.test('npm start does the main job in front of your eyes and ends by itself', async (t) => {
  const child = spawn(process.execPath, [demo, '--exit'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  t.equal(code, 0, stderr)
  t.match(stdout, /web3 .*committed by restart[^]*web3 .*counts \d+, plus 1 every second/)
  t.match(stdout, /web3 .*committed by hot[^]*web3 .*counts \d+, plus 10 every second/)
  t.match(stdout, /requests to web1 during all three: \d+ answered, 0 failed/)
  t.match(stdout, /a browser that was open all the time: never cut off, heard \d+ counts/)
  t.match(stdout, /exit code 8; meanwhile:\n.*web1 .*counts \d+, plus 10 every second/)
  t.match(stdout, /every signature is good, the chain is whole/)
  t.match(stderr, /E_PROBE_FAILED/)
  t.match(stdout, /in a browser[^]*http:\/\/127\.0\.0\.1:\d+\/#token=dpl_/)
})
