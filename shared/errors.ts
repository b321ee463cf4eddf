import { catalogue, type ErrorCode } from './error-catalogue.ts'

/** Values named in an error's message template; they are shown to people, so they never hold secrets. */
export type ErrorFacts = Readonly<Record<string, string | number | boolean | null | undefined>>

/**
 * The only error class that crosses a module's border. What a code means, its exit status, whether
 * production is safe and what to do next stand in the catalogue, not at the place that throws.
 */
export class DeployError extends Error {
  override readonly name = 'DeployError'
  readonly code: ErrorCode
  readonly facts: ErrorFacts

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options?: { cause?: unknown }) {
    super(fill(catalogue[code].message, facts), options)
    this.code = code
    this.facts = facts
  }

  get exitCode(): number {
    return catalogue[this.code].exit
  }

  /** What happened to the running service: 'untouched', 'restored', 'at-risk' or 'unknown'. */
  get production(): string {
    return catalogue[this.code].production
  }

  get nextStep(): string {
    return fill(catalogue[this.code].next, this.facts)
  }

  /** The form in which an error travels over the wire and through --json. */
  toJSON(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      next: this.nextStep,
      production: this.production,
      facts: this.facts,
    }
  }
}

export type ErrorBody = {
  code: string
  message: string
  next: string
  production: string
  facts: ErrorFacts
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(catalogue, code)
}

/** Any thrown value as a DeployError; what is not one yet becomes E_INTERNAL and keeps its cause. */
export function asDeployError(error: unknown): DeployError {
  if (error instanceof DeployError) return error
  const detail = error instanceof Error ? error.message : String(error)
  return new DeployError('E_INTERNAL', { detail }, { cause: error })
}

function fill(template: string, facts: ErrorFacts): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => String(facts[name] ?? `<${name}>`))
}
