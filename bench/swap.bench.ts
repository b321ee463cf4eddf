import { execFileSync, fork, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { table } from '../controller/cli/table.ts'
import { compileLibrary } from '../controller/release/library.ts'
import { sha256Hex } from '../shared/documents/document.ts'
import { transformedPath, type ModuleGraph } from '../shared/formats/modules.ts'
import { hotModulesOf, type Known } from '../shared/hot/graph.ts'
import { evaluationOrder } from '../shared/plan/swap.ts'
import { startLoad } from '../test/rig/load.ts'
import type { Outcome } from '../test/rig/load-client.ts'
import { makeModuleTree } from './lib/module-tree.ts'
import { median } from './lib/measure.ts'
import { fromNpm } from './lib/npm.ts'

/**
 * A running program of 500 modules takes in one that changed, again and again: how long that takes, what
 * requests notice of it, what memory it leaves behind, and what calling through a handle costs, with the
 * Node of this project and the newest 22 and current one from npm. `--swaps N` (1000), `--modules N` (500).
 */
const option = (name: string, fallback: number) => {
  const index = process.argv.indexOf(`--${name}`)
  return index < 0 ? fallback : Number(process.argv[index + 1])
}
const swaps = option('swaps', 1000)
const modules = option('modules', 500)
const loadSeconds = option('seconds', 10)
const everyMs = 100
const dir = mkdtempSync(join(tmpdir(), 'bench-swap-'))
const at = (path: string) => new URL(path, import.meta.url).pathname

/** A Node from npm, by its major version. */
const nodeBinary = (major: string) =>
  major === '24'
    ? process.execPath
    : join(fromNpm(`node-${major}`, [`node@${major}`]), 'node_modules/node/bin/node')

const main = `import { createServer } from 'node:http'
import { createHot } from './library/index.mjs'
import { own } from './library/process.mjs'
const ballast = Array.from({ length: 2000 }, (_, n) => 'x'.repeat(100) + n)
const hot = await createHot({ boundaries: ['./app.js'] })
const app = hot.handle('./app.js')
const server = createServer((request, response) => app.call((module, state) => module.handle(request, response, state)))
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
const nothing = { end() {} }
const measures = {
  async heap() {
    await own().swap.answer({ do: 'collect' })
    return { used: process.memoryUsage().heapUsed, pinned: own().swap.status().pinned.length, ballast: ballast.length }
  },
  async calls({ count }) {
    const { add } = await import('./direct.js')
    const state = { requests: 0 }
    let total = 0
    let began = performance.now()
    for (let n = 0; n < count; n++) total += add(n, state)
    const direct = performance.now() - began
    began = performance.now()
    for (let n = 0; n < count; n++) total += app.call((module, own) => module.add(n, own))
    return { direct, handle: performance.now() - began, total }
  },
}
process.on('message', async (message) => process.send(measures[message.do] ? await measures[message.do](message) : await own().swap.answer(message)))
`

type Answer = Record<string, any>

class Program {
  readonly child: ChildProcess
  #graph: ModuleGraph
  readonly #known: Known = { facts: new Map(), cold: new Map() }
  readonly #project = join(dir, 'project')
  readonly #tree = makeModuleTree(this.#project, modules)
  #number = 0

  constructor(binary: string) {
    const app = join(this.#project, 'app.js')
    const add = 'export const add = (n, state) => n + state.requests\n'
    writeFileSync(app, readFileSync(app, 'utf8') + add)
    writeFileSync(join(this.#project, 'direct.js'), add)
    writeFileSync(join(this.#project, 'main.js'), main)
    const { graph, texts } = this.#build()
    this.#graph = graph
    write(this.#project, texts)
    this.child = fork(join(this.#project, 'main.js'), {
      cwd: this.#project,
      execPath: binary,
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '', DEPLOYCTL_RELEASE: 'r0' },
    })
  }

  #build() {
    const read = (path: string) => readFileSync(join(this.#project, path), 'utf8')
    const tree = {
      has: (path: string) => existsSync(join(this.#project, path)),
      read,
      digest: (path: string) => sha256Hex(read(path)),
    }
    const made = hotModulesOf(['node', 'main.js'], tree, this.#known)
    if (!made) throw new Error('no boundaries')
    return {
      graph: made.graph,
      texts: new Map([...made.files].map(([path, text]) => [transformedPath(path), text])),
    }
  }

  async ask(message: Answer): Promise<Answer> {
    const answer = once(this.child, 'message') as Promise<[Answer]>
    this.child.send(message)
    return (await answer)[0]
  }

  /** What is written of the next release is what the program reads of it. */
  next(evaluate = ['lib/g7/m3.js', 'lib/g7/index.js', 'app.js']) {
    const release = `r${++this.#number}`
    this.#tree.setRelease(release)
    const { texts } = this.#build()
    const root = join(dir, release)
    const own = evaluate.map((path): [string, string] => [path, texts.get(transformedPath(path)) ?? ''])
    write(root, new Map(own.map(([path, text]) => [transformedPath(path), text])))
    return { release, root, evaluate: own.map(([path, text]) => [path, sha256Hex(text)]), forget: [] }
  }

  /** All modules, in their order. */
  all(): string[] {
    return evaluationOrder(this.#graph)
  }

  /** @returns milliseconds that the program was busy with it, and until it had answered */
  async swap(what: ReturnType<Program['next']>): Promise<{ own: number; wall: number }> {
    const { release, root } = what
    const began = performance.now()
    const prepared = await this.ask({ do: 'prepare', ...what })
    if (!prepared['ok']) throw new Error(JSON.stringify(prepared))
    const committed = await this.ask({ do: 'commit', release })
    const wall = performance.now() - began
    await this.ask({ do: 'confirm', release })
    rmSync(root, { recursive: true })
    return { own: prepared['ms'] + committed['ms'], wall }
  }

  async end() {
    const closed = once(this.child, 'close')
    this.child.kill('SIGKILL')
    await closed
  }
}

function write(root: string, texts: ReadonlyMap<string, string>) {
  for (const [path, text] of texts) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

const percentile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN

async function memory(program: Program) {
  const times: number[] = []
  for (let n = 0; n < 20; n++) await program.swap(program.next())
  const before = await program.ask({ do: 'heap' })
  for (let n = 0; n < swaps; n++) times.push((await program.swap(program.next())).own)
  const after = await program.ask({ do: 'heap' })
  return {
    times,
    kilobytes: (after['used'] - before['used']) / 1024 / swaps,
    pinned: after['pinned'] as number,
  }
}

async function latency(
  program: Program,
  port: number,
): Promise<{ none: Outcome; swapping: Outcome; count: number }> {
  const url = `http://127.0.0.1:${port}/`
  const mix = { url, kept: 8, fresh: 0, pauseMs: 5, keepsStreams: true }
  const quiet = startLoad(mix)
  await delay(loadSeconds * 1000)
  const none = await quiet.stop()
  // Made beforehand: whoever builds is another machine.
  const releases = Array.from({ length: (loadSeconds * 1000) / everyMs }, () => program.next())
  const load = startLoad(mix)
  for (const release of releases) {
    const began = performance.now()
    await program.swap(release)
    await delay(Math.max(0, everyMs - (performance.now() - began)))
  }
  return { none, swapping: await load.stop(), count: releases.length }
}

const ms = (value: number) => `${value.toFixed(2)} ms`
const calls = 5_000_000
const rows: string[][] = []
try {
  for (const major of ['22', '24', 'current']) {
    const library = join(dir, 'project/library')
    mkdirSync(library, { recursive: true })
    for (const { path, bytes } of await compileLibrary(at('../service')))
      writeFileSync(join(library, basename(path)), bytes)
    const binary = nodeBinary(major === 'current' ? 'latest' : major)
    const version = execFileSync(binary, ['--version']).toString().trim()
    const program = new Program(binary)
    const [{ port }] = (await once(program.child, 'message')) as [{ port: number }]
    const { times, kilobytes, pinned } = await memory(program)
    const whole: number[] = []
    for (let n = 0; n < 10; n++) whole.push((await program.swap(program.next(program.all()))).own)
    await program.ask({ do: 'calls', count: calls })
    const { direct, handle } = await program.ask({ do: 'calls', count: calls })
    const { none, swapping, count } = await latency(program, port)
    await program.end()
    rows.push([
      version,
      ms(median(times)),
      ms(percentile(times, 0.99)),
      ms(median(whole)),
      `${kilobytes.toFixed(2)} KB`,
      String(pinned),
      `${ms(none.p99)} → ${ms(swapping.p99)} (${(swapping.p99 / none.p99).toFixed(2)}×)`,
      `${swapping.failed} of ${swapping.good + swapping.failed} in ${count} swaps`,
      `${(((handle - direct) / calls) * 1e6).toFixed(0)} ns`,
    ])
    console.log(rows.at(-1)?.join('  '))
    for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true, force: true })
  }
  console.log(
    `\n${modules} modules, 1 changed (3 evaluated anew), ${swaps} swaps each; requests at 8 connections, a swap every ${everyMs} ms`,
  )
  console.log(
    table(
      [
        'Node',
        'swap p50',
        'p99',
        'all modules',
        'heap a swap',
        'pinned',
        'request p99 without → with',
        'failed',
        'a call',
      ],
      rows,
    ),
  )
} finally {
  rmSync(dir, { recursive: true, force: true })
}
process.exit()
