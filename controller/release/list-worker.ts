import { parentPort } from 'node:worker_threads'
import { asDeployError } from '../../shared/errors.ts'
import { listFiles, type Listing } from './list-files.ts'

/** A listing in columns: ten thousand objects take long to copy from thread to thread. */
export type FlatListing = {
  /** Separated by NUL, which no name has. */
  paths: string
  executable: Uint8Array
  /** Four for each file: size, mtimeMs, ctimeMs, ino. */
  stats: Float64Array
  links: Listing['links']
  emptyDirs: Listing['emptyDirs']
}

function flatten({ files, links, emptyDirs }: Listing): FlatListing {
  return {
    paths: files.map(({ path }) => path).join('\0'),
    executable: Uint8Array.from(files, ({ mode }) => (mode === '0755' ? 1 : 0)),
    stats: Float64Array.from(
      files.flatMap(({ size, mtimeMs, ctimeMs, ino }) => [size, mtimeMs, ctimeMs, ino]),
    ),
    links,
    emptyDirs,
  }
}

function answer(request: Parameters<typeof listFiles>) {
  try {
    return flatten(listFiles(...request))
  } catch (error) {
    const { code, facts } = asDeployError(error)
    return { code, facts }
  }
}

/** The thread behind ListThread; it loads little, so that it starts fast. */
parentPort?.on('message', (request: Parameters<typeof listFiles>) => parentPort?.postMessage(answer(request)))
