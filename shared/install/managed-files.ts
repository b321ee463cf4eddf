import { sha256Hex } from '../documents/document.ts'
import type { HostFacts } from './facts.ts'
import type { Step } from './steps.ts'

export type FileStep = Extract<Step, { do: 'file' }>
export type Problem = { what: string; remedy: string }

/**
 * Which of these files must be written, given what is there: those that are as they should be are left
 * out, one that was changed by hand is kept beside, and a foreign one is a problem.
 */
export function planFiles(
  facts: Pick<HostFacts, 'files' | 'installed'>,
  wanted: readonly FileStep[],
): { steps: FileStep[]; problems: Problem[] } {
  const steps: FileStep[] = []
  const problems: Problem[] = []
  for (const step of wanted) {
    const { path, content } = step
    const there = facts.files.get(path)
    if (there === sha256Hex(content)) continue
    const ours = facts.installed?.files[path]
    if (there === undefined || there === ours?.sha256 || there === ours?.was) steps.push(step)
    else if (ours && there !== 'link' && there !== 'other') steps.push({ ...step, keep: true })
    else
      problems.push({
        what: `${path} is there and is not deployctl's`,
        remedy: `Look at it; move it away if nothing needs it: mv ${path} ${path}.old`,
      })
  }
  return { steps, problems }
}
