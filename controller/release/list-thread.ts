import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { DeployError } from '../../shared/errors.ts'
import type { listFiles, Listing } from './list-files.ts'
import type { FlatListing } from './list-worker.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'

/**
 * listFiles in a thread of its own: it is synchronous, and the main thread is shaking hands with hosts
 * meanwhile. One listing at a time.
 */
export class ListThread {
  readonly #worker = new Worker(new URL(`./list-worker.${extension}`, import.meta.url))

  /** @throws DeployError those of listFiles */
  async list(...args: Parameters<typeof listFiles>): Promise<Listing> {
    this.#worker.postMessage(args)
    const [answer] = (await once(this.#worker, 'message')) as [
      FlatListing | Pick<DeployError, 'code' | 'facts'>,
    ]
    if ('code' in answer) throw new DeployError(answer.code, answer.facts)
    return unflatten(answer)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}

function unflatten({ paths, executable, stats, links, emptyDirs }: FlatListing): Listing {
  const files = (paths === '' ? [] : paths.split('\0')).map((path, index) => {
    const [size = 0, mtimeMs = 0, ctimeMs = 0, ino = 0] = stats.subarray(index * 4, index * 4 + 4)
    return {
      path,
      mode: executable[index] ? ('0755' as const) : ('0644' as const),
      size,
      mtimeMs,
      ctimeMs,
      ino,
    }
  })
  return { files, links, emptyDirs }
}
