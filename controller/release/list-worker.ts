import { parentPort, workerData } from 'node:worker_threads'
import { asDeployError } from '../../shared/errors.ts'
import { listFiles } from './list-files.ts'

/** The thread behind listInThread; it loads little, so that it starts fast. */
function answer() {
  try {
    return listFiles(...(workerData as Parameters<typeof listFiles>))
  } catch (error) {
    const { code, facts } = asDeployError(error)
    return { code, facts }
  }
}
parentPort?.postMessage(answer())
