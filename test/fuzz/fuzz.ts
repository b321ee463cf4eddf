import { DeployError } from '../../shared/errors.ts'
import { Coverage } from './coverage.ts'
import { mutate, randomFrom } from './mutate.ts'
import type { Target } from './targets.ts'

export type FuzzOptions = {
  seed: number
  /** It stops at whichever comes first. */
  executions: number
  seconds: number
  onProgress?: (result: Fuzzed) => void
}

export type Finding = { input: Buffer; why: string }
export type Fuzzed = {
  executions: number
  /** How many of them the parser took. */
  accepted: number
  corpus: number
  /** Blocks of code that ran at all. */
  blocks: number
  seconds: number
  findings: Finding[]
}

/** Small batches while much is new, since an input that found something has to be found in its batch. */
const batchSize = { least: 32, most: 2048 }
const progressMs = 10_000
const maxFindings = 10
/** No input of a few kilobytes may hold a parser up for this long. */
const slowMs = 1000

/**
 * Coverage-guided: inputs are made by changing known ones, and one that runs code that never ran before
 * becomes known. Coverage is read once a batch, and input by input only where it grew, so that nearly all
 * run at full speed. A refusal by an error of ours is good; anything else that is thrown, and anything
 * slow, is a finding.
 */
export async function fuzz(target: Target, options: FuzzOptions): Promise<Fuzzed> {
  const random = randomFrom(options.seed)
  const corpus = [...target.seeds]
  const findings: Finding[] = []
  const coverage = new Coverage()
  let [executions, accepted] = [0, 0]
  const run = async (input: Buffer) => {
    executions += 1
    const { thrown, ms } = await attempt(target, input)
    if (thrown === null) accepted += 1
    else if (!(thrown instanceof DeployError) || thrown.code === 'E_INTERNAL')
      findings.push({ input, why: thrown.stack ?? thrown.message })
    // Twice: the first time it may have been this process that was held up.
    if (ms > slowMs && (await attempt(target, input)).ms > slowMs)
      findings.push({ input, why: `it took ${Math.round(ms)} ms` })
  }
  const runAll = async (inputs: readonly Buffer[]) => {
    for (const input of inputs) await run(input)
    return coverage.take()
  }
  /** Halves a batch until the inputs are found that reach the blocks wanted. */
  const locate = async (inputs: readonly Buffer[], wanted: Set<string>): Promise<void> => {
    const reached = wanted.size > 0 ? (await runAll(inputs)).intersection(wanted) : wanted
    if (reached.size === 0) return
    if (inputs.length === 1) {
      corpus.push(...inputs)
      for (const block of reached) wanted.delete(block)
      return
    }
    const middle = inputs.length >> 1
    await locate(inputs.slice(0, middle), wanted)
    await locate(inputs.slice(middle), wanted)
  }
  const seen = await runAll(target.seeds)
  const beganMs = performance.now()
  const result = (): Fuzzed => {
    const seconds = (performance.now() - beganMs) / 1000
    return { executions, accepted, corpus: corpus.length, blocks: seen.size, seconds, findings }
  }
  let size = batchSize.least
  for (let toldMs = beganMs; ;) {
    const batch = Array.from({ length: size }, () => mutate(corpus, random, target.words, target.maxBytes))
    const fresh = (await runAll(batch)).difference(seen)
    for (const block of fresh) seen.add(block)
    size = fresh.size > 0 ? Math.max(batchSize.least, size / 2) : Math.min(batchSize.most, size * 2)
    if (fresh.size > 0) await locate(batch, fresh)
    const now = result()
    if (executions >= options.executions || now.seconds >= options.seconds || findings.length >= maxFindings)
      return now
    if (performance.now() - toldMs < progressMs) continue
    toldMs = performance.now()
    options.onProgress?.(now)
  }
}

async function attempt(target: Target, input: Buffer): Promise<{ thrown: Error | null; ms: number }> {
  const beganMs = performance.now()
  let thrown: Error | null = null
  try {
    // Most are not asynchronous, and a turn of the event loop for each would be half of the time.
    const running = target.run(input)
    if (running) await running
  } catch (error) {
    thrown = error instanceof Error ? error : new Error(String(error))
  }
  return { thrown, ms: performance.now() - beganMs }
}
