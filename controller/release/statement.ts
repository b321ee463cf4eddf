import { readFile } from 'node:fs/promises'
import { sha256Hex } from '../../shared/documents/document.ts'
import { parseStrictJson } from '../../shared/documents/strict-json.ts'
import { DeployError } from '../../shared/errors.ts'
import type { Provenance } from '../../shared/formats/manifest.ts'
import { Type, parserOf } from '../../shared/schema.ts'

const limits = { bytes: 16 * 1024 * 1024, depth: 64 }
/** https://in-toto.io/Statement/v1; what it says beyond this is its reader's business. */
const statementParser = parserOf(
  Type.Object({
    _type: Type.String({ pattern: '^https://in-toto\\.io/Statement/v' }),
    predicateType: Type.String({ minLength: 1, maxLength: 256 }),
  }),
)
/** DSSE, as signers of statements wrap them. */
const envelopeParser = parserOf(
  Type.Object({ payloadType: Type.Literal('application/vnd.in-toto+json'), payload: Type.String() }),
)

/**
 * An in-toto statement (SLSA provenance, say) about the build, as a release names it.
 * @throws DeployError E_STATEMENT
 */
export async function readStatement(file: string): Promise<NonNullable<Provenance['statement']>> {
  const refuse = (why: string, cause?: unknown) => new DeployError('E_STATEMENT', { file, why }, { cause })
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw refuse('it cannot be read', cause)
  })
  try {
    const outer = parseStrictJson(bytes, 'statement', limits)
    const inner = envelopeParser.check(outer)
      ? parseStrictJson(Buffer.from(outer.payload, 'base64'), 'statement', limits)
      : outer
    if (!statementParser.check(inner)) throw refuse('it is no in-toto statement, plain or in a DSSE envelope')
    return { sha256: sha256Hex(bytes), predicateType: inner.predicateType }
  } catch (error) {
    throw error instanceof DeployError && error.code === 'E_STATEMENT'
      ? error
      : refuse(error instanceof Error ? error.message : String(error), error)
  }
}
