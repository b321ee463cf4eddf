import { Session } from 'node:inspector'

/** Which blocks of code ran, by V8's own block coverage; nothing is instrumented. */
export class Coverage {
  readonly #session = new Session()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** The blocks that ran since this was asked last. */
  take(): Set<string> {
    const ran = new Set<string>()
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error) throw error
      for (const { scriptId, url, functions } of answer.result) {
        if (url.startsWith('node:') || url.includes('/test/fuzz/')) continue
        for (const { ranges } of functions)
          for (const { startOffset, endOffset, count } of ranges)
            if (count > 0) ran.add(`${scriptId}:${startOffset}-${endOffset}`)
      }
    })
    return ran
  }
}
