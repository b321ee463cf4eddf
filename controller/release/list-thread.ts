import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { DeployError } from '../../shared/errors.ts'
import type { listFiles, Listing } from './list-files.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'

/**
 * listFiles in a thread of its own: it is synchronous, and the main thread is shaking hands with hosts
 * meanwhile.
 * @throws DeployError those of listFiles
 */
export async function listInThread(...args: Parameters<typeof listFiles>): Promise<Listing> {
  const worker = new Worker(new URL(`./list-worker.${extension}`, import.meta.url), { workerData: args })
  const [answer] = (await once(worker, 'message')) as [Listing | Pick<DeployError, 'code' | 'facts'>]
  if ('code' in answer) throw new DeployError(answer.code, answer.facts)
  return answer
}
