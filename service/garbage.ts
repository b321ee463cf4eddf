import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { type: 'major'; execution: 'async' }) => Promise<void>
/** Finalizers run some time after. */
const finalizersMs = 50

/** All of it, now: what is then still alive is held by something. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  await collect({ type: 'major', execution: 'async' })
  await delay(finalizersMs)
}
