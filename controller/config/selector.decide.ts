import { DeployError } from '../../shared/errors.ts'

/** Conditions on labels; all of them must hold. */
export type Selector = readonly { label: string; isNot: boolean; values: readonly string[] }[]

/**
 * `zone=eu,role=web|api,tier!=test`: commas are "and", bars are "or".
 * @throws DeployError E_USAGE
 */
export function parseSelector(text: string): Selector {
  return text.split(',').map((part) => {
    const [, label, not, values] =
      /^\s*([a-z0-9][a-z0-9._-]*)\s*(!?)=\s*([A-Za-z0-9._|-]+)\s*$/.exec(part) ?? []
    if (label === undefined || values === undefined)
      throw new DeployError('E_USAGE', {
        detail: `--on takes label=value, several separated by commas (zone=eu,role=web|api), not "${part}".`,
      })
    return { label, isNot: not === '!', values: values.split('|') }
  })
}

/** Whether a host with these labels is meant. */
export const fits = (selector: Selector, labels: Readonly<Record<string, string>>): boolean =>
  selector.every(({ label, isNot, values }) => values.includes(labels[label] ?? '') !== isNot)
