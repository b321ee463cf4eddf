import { serveControl } from './control.ts'
import { Lifecycle } from './lifecycle.ts'
import type { Guard } from './guard.ts'
import type { Swap } from './swap.ts'
import { controlName, inheritedSockets } from './sockets.ts'

/** The one that this process has, whichever copy of this library it is loaded from. */
type Own = {
  sockets: ReadonlyMap<string, number>
  lifecycle: Lifecycle
  /** Whether the program has asked for that. */
  isHot: boolean
  /** Where it can exchange its code. */
  swap: Swap | null
  guard: Guard | null
}

const key = Symbol.for('deployctl-service')
/** What a shell gives for SIGINT. */
const interrupted = 130
/** What a service may be told to end with: run.stop.signal in deploy.yaml. */
const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const

/** Begins to listen to the agent and to signals when it is first asked for. */
export function own(): Own {
  const shared = globalThis as { [key]?: Own }
  shared[key] ??= begin()
  return shared[key]
}

function begin(): Own {
  const { env, pid } = process
  const sockets = inheritedSockets(env, pid)
  const control = sockets.get(controlName)
  const lifecycle = new Lifecycle(env, control !== undefined)
  const self: Own = { sockets, lifecycle, isHot: false, swap: null, guard: null }
  if (control !== undefined) serveControl(control, self)
  // Not `once`: packages that look whether anybody listens would take a listener that is gone for none.
  for (const signal of signals) process.on(signal, () => void end(signal, self))
  return self
}

async function end(signal: NodeJS.Signals, { lifecycle, guard }: Own) {
  if (signal === 'SIGINT' && guard?.takeInterrupt()) return
  // Who presses Ctrl-C twice does not want to wait.
  if (signal === 'SIGINT' && lifecycle.status().state !== 'accepting') process.exit(interrupted)
  await lifecycle.drain()
  // Time for the last word to the agent to leave.
  setImmediate(() => process.exit(process.exitCode ?? 0))
}
