import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { DeployError } from '../../shared/errors.ts'
import { hashFile } from './hash-worker.ts'
import type { ListedFile } from './list-files.ts'

/** Below this many bytes, starting a thread costs more than it saves. */
const worthThreadsBytes = 8 * 1024 * 1024
const batchBytes = 4 * 1024 * 1024
const maxThreads = 4

type Answer = { sha256: string; size: number } | { error: string }

/**
 * sha256 of each file's content, in their order.
 * @throws DeployError E_BUILD_CHANGED when a file is not what its listing said
 */
export async function hashFiles(root: string, files: readonly ListedFile[]): Promise<string[]> {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const paths = files.map(({ path }) => join(root, path))
  const answers = total < worthThreadsBytes ? paths.map(tryHash) : await inThreads(paths, files)
  return answers.map((answer, index) => {
    const file = files[index]
    if (!file || 'error' in answer || answer.size !== file.size)
      throw new DeployError('E_BUILD_CHANGED', { path: file?.path ?? '?' })
    return answer.sha256
  })
}

function tryHash(file: string): Answer {
  try {
    return hashFile(file)
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

async function inThreads(paths: readonly string[], files: readonly ListedFile[]): Promise<Answer[]> {
  const batches = batchesOf(files)
  const answers: Answer[] = Array.from({ length: paths.length })
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const work = async () => {
    const worker = new Worker(new URL(`./hash-worker.${extension}`, import.meta.url))
    try {
      for (let batch = batches.pop(); batch; batch = batches.pop()) {
        const reply = once(worker, 'message') as Promise<[Answer[]]>
        worker.postMessage(paths.slice(batch.from, batch.to))
        const [results] = await reply
        for (const [offset, result] of results.entries()) answers[batch.from + offset] = result
      }
    } finally {
      await worker.terminate()
    }
  }
  const threads = Math.min(maxThreads, availableParallelism(), batches.length)
  await Promise.all(Array.from({ length: threads }, work))
  return answers
}

function batchesOf(files: readonly ListedFile[]): { from: number; to: number }[] {
  const batches: { from: number; to: number }[] = []
  let [from, bytes] = [0, 0]
  for (const [index, { size }] of files.entries()) {
    bytes += size
    if (bytes < batchBytes && index < files.length - 1) continue
    batches.push({ from, to: index + 1 })
    from = index + 1
    bytes = 0
  }
  return batches
}
