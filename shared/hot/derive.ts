import type { ModuleKind } from '../formats/modules.ts'
import { factsOfCommonJs } from './facts-cjs.ts'
import { noFacts, type Facts } from './facts.ts'
import { parseModule } from './syntax.ts'
import { transformEsm } from './transform-esm.ts'

/** @param kind null where only the text can tell @throws SourceProblem */
export function derive(path: string, source: string, kind: ModuleKind | null): Facts {
  if (kind === 'json') return noFacts(kind, source)
  const syntax = parseModule(path, source, kind)
  return syntax.sourceType === 'module' ? transformEsm(syntax) : factsOfCommonJs(syntax)
}
