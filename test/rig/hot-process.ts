import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { planSwap, type SwapPlan } from '../../shared/plan/swap.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import { temporary, writeRelease, type Files, type HotRelease } from './hot-release.ts'

const library = pathToFileURL(join(import.meta.dirname, '../../service')).href

/** A program that answers to its parent as it would to the agent, and calls into its boundaries. */
export const mainFile = (boundaries: readonly string[], options = ''): string => `
import { createHot } from '${library}/index.ts'
import { own } from '${library}/process.ts'
const hot = await createHot({ boundaries: [${boundaries.map((one) => `'${one}'`).join(', ')}], ${options} })
process.on('message', async ({ number, request, boundary, call, args }) => {
  const answer = request
    ? request.do === 'status' ? own().swap.status() : await own().swap.answer(request)
    : await Promise.resolve().then(() => hot.handle(boundary).call((module, state, context) => module[call](state, ...args, context))).catch((error) => ({ error: error.message, stack: error.stack }))
  process.send({ number, answer: answer ?? null })
})
process.send({ ready: true })
`

type Answer = Record<string, any>

/** A running program and its releases. */
export class HotProcess {
  readonly child: ChildProcess
  readonly output: string[] = []
  readonly #dir: string
  readonly #ended: Promise<never>
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #current: HotRelease
  /** Where it listens, if it said so. */
  port = 0
  #number = 0

  static async start(t: { teardown: (end: () => unknown) => unknown }, files: Files, flags: string[] = []) {
    const dir = temporary(t)
    const first = writeRelease(dir, 'r0', files)
    const one = new HotProcess(dir, first, flags)
    t.teardown(async () => {
      if (one.child.exitCode !== null || one.child.signalCode !== null) return
      const ended = once(one.child, 'exit')
      one.child.kill('SIGKILL')
      await ended
    })
    const [message] = (await Promise.race([once(one.child, 'message'), once(one.child, 'exit')])) as [unknown]
    if (typeof message === 'object') one.port = (message as { port?: number }).port ?? 0
    else throw new Error(one.output.join(''))
    return one
  }

  private constructor(dir: string, first: HotRelease, flags: string[]) {
    this.#dir = dir
    this.#current = first
    this.child = fork(join(first.root, 'main.js'), {
      cwd: first.root,
      env: { ...process.env, NODE_OPTIONS: '', DEPLOYCTL_RELEASE: 'r0' },
      execArgv: flags,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#ended = new Promise((_, reject) =>
      this.child.once('exit', (code, signal) =>
        reject(new Error(`it ended: ${code ?? signal}\n${this.output.join('')}`)),
      ),
    )
    this.#ended.catch(() => {})
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => this.output.push(text))
    this.child.on('message', ({ number, answer }: { number?: number; answer: Answer }) => {
      if (number === undefined) return
      this.#waiting.get(number)?.(answer)
      this.#waiting.delete(number)
    })
  }

  #ask(message: Record<string, unknown>): Promise<Answer> {
    const number = this.#number++
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(number, resolve))
    this.child.send({ number, ...message })
    return Promise.race([answer, this.#ended])
  }

  request(request: Record<string, unknown>): Promise<Answer> {
    return this.#ask({ request })
  }

  call(call: string, args: unknown[] = [], boundary = './app.js'): Promise<any> {
    return this.#ask({ boundary, call, args })
  }

  /** Puts a release there and has it prepared. */
  async prepare(name: string, files: Files, plan?: SwapPlan): Promise<Answer> {
    const next = writeRelease(this.#dir, name, files)
    const { evaluate, forget } = plan ?? planOf(this.#current, next)
    this.#next = next
    return this.request({
      do: 'prepare',
      release: name,
      root: next.root,
      evaluate: evaluate.map((path) => [path, next.digests.get(path)]),
      forget,
    })
  }
  #next: HotRelease | null = null

  /** To another release, confirmed; the answer of the step that failed, or of the commit. */
  async swap(name: string, files: Files): Promise<Answer> {
    const prepared = await this.prepare(name, files)
    if (!prepared['ok']) return prepared
    const committed = await this.request({ do: 'commit', release: name })
    if (!committed['ok']) return committed
    if (this.#next) this.#current = this.#next
    const confirmed = await this.request({ do: 'confirm', release: name })
    return { ...committed, problems: confirmed['problems'] }
  }
}

/** By the digests of what was written. */
function planOf(before: HotRelease, after: HotRelease): SwapPlan {
  const plan = planSwap(manifestOf(before), manifestOf(after))
  if ('obstacle' in plan) throw new Error(plan.obstacle)
  return plan
}

const manifestOf = ({ graph, digests }: HotRelease): Manifest => ({
  spec: 'deployctl/release/v1',
  fleet: '0'.repeat(32),
  service: 'shop',
  version: 'v1',
  created: '2026-01-01T00:00:00.000Z',
  files: [...digests].map(([path, sha256]) => ({ path, mode: '0644', size: 1, sha256 })),
  links: [],
  emptyDirs: [],
  run: { argv: ['node', 'main.js'], sockets: [{ name: 'deployctl', private: true }] },
  health: {},
  activation: {},
  hot: graph,
  minimumAgent: 1,
  provenance: { commit: null, dirty: false, builder: 'test', lockfile: null },
})
