/** What keeps a module from being swapped, or from running at all. */
export class SourceProblem extends Error {
  override readonly name = 'SourceProblem'
  readonly path: string
  readonly line: number
  readonly why: string
  /** It would not run under Node's own loader either. */
  readonly isFatal: boolean

  constructor(path: string, line: number, why: string, isFatal = false) {
    super(`${path}:${line}: ${why}`)
    this.path = path
    this.line = line
    this.why = why
    this.isFatal = isFatal
  }
}
