import { Type, type Static, type TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'

export { Type, type Static, type TSchema }

/** `at` is where in the schema the rule stands, `params` what the rule says, both as JSON Schema has them. */
export type Issue = {
  path: string
  message: string
  keyword: string
  at: string
  params: Record<string, unknown>
}

export type Parser<T> = {
  /** The value when it fits the schema; nothing is coerced and no unknown key is dropped. */
  check(value: unknown): value is T
  /** What does not fit, with JSON pointers; empty when all fits. */
  issues(value: unknown): Issue[]
}

/**
 * A compiled schema. One schema gives the static type, this check and the JSON Schema. Compiled when it
 * is first needed: a command needs a few of many.
 */
export function parserOf<S extends TSchema>(schema: S): Parser<Static<S>> {
  let compiled: Validator<{}, S> | undefined
  const validator = () => (compiled ??= Compile(schema))
  return {
    check: (value): value is Static<S> => validator().Check(value),
    issues: (value) =>
      [...validator().Errors(value)]
        .filter((error) => error.keyword !== 'boolean')
        .map(({ instancePath, message, keyword, schemaPath, params }) => ({
          path: instancePath,
          message,
          keyword,
          at: schemaPath,
          params: params as Record<string, unknown>,
        })),
  }
}

/** An object that refuses unknown keys: the only kind of object in our formats. */
export const Strict = <P extends Parameters<typeof Type.Object>[0]>(properties: P, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** The same schema with a description, which the documentation and editors show. */
export const described = <S extends TSchema>(schema: S, description: string): S => ({
  ...schema,
  description,
})
