import { serveControl } from './control.ts'
import { Lifecycle } from './lifecycle.ts'
import { controlName, inheritedSockets } from './sockets.ts'

/** The one that this process has, whichever copy of this library it is loaded from. */
type Own = { sockets: ReadonlyMap<string, number>; lifecycle: Lifecycle }

const key = Symbol.for('deployctl-service')
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
  if (control !== undefined) serveControl(control, lifecycle)
  for (const signal of signals) process.once(signal, () => void end(lifecycle))
  return { sockets, lifecycle }
}

async function end(lifecycle: Lifecycle) {
  await lifecycle.drain()
  // Time for the last word to the agent to leave.
  setImmediate(() => process.exit(process.exitCode ?? 0))
}
