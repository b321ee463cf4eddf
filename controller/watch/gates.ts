import { spawn } from 'node:child_process'

/** A command that must succeed before anything is pushed: tests, types. */
export type Gate = { name: string; argv: readonly string[] }
/** `output` is its last part. */
export type GateResult = { name: string; ok: boolean; status: string; ms: number; output: string }

const outputChars = 4_000

/** Runs all of them at once; the first that fails ends the others. */
export async function runGates(gates: readonly Gate[], cwd: string): Promise<GateResult[]> {
  const over = new AbortController()
  const run = async (gate: Gate) => {
    const result = await runGate(gate, cwd, over.signal)
    if (!result.ok) over.abort()
    return result
  }
  return Promise.all(gates.map(run))
}

async function runGate({ name, argv }: Gate, cwd: string, signal: AbortSignal): Promise<GateResult> {
  const began = performance.now()
  const [program = '', ...args] = argv
  // In a group of its own: npm and npx leave behind what they started when only they are ended.
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const end = () => child.pid !== undefined && child.exitCode === null && killGroup(child.pid)
  signal.addEventListener('abort', end, { once: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-outputChars)))
  const status = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, killed) => resolve(killed ?? String(code)))
  })
  signal.removeEventListener('abort', end)
  return { name, ok: status === '0', status, ms: performance.now() - began, output: output.trimEnd() }
}

function killGroup(pid: number) {
  try {
    process.kill(-pid, 'SIGTERM')
  } catch {
    // It ended by itself just now.
  }
}
