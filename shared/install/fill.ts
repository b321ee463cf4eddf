/**
 * A template with its `@NAME@` replaced.
 * @param values by name; a line that becomes empty by it is left out
 */
export function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template
    .split('\n')
    .map((line) => [line, line.replace(/@([A-Z]+)@/g, (_, name: string) => values[name] ?? '')] as const)
    .filter(([before, after]) => before === after || after !== '')
    .map(([, after]) => after)
    .join('\n')
}
